package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"

	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/report"
)

func main() {
	n := 10
	for i := range n {
		if i == 1 {
			f, _ := os.Create("/tmp/cpu.prof")
			pprof.StartCPUProfile(f)
		}
		t := time.Now()
		s := report.System()
		s.Out, s.Err = io.Discard, io.Discard
		cli.Run(context.Background(), s, os.Args[1:])
		fmt.Println(time.Since(t))
	}
	pprof.StopCPUProfile()
}
