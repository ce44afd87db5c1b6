// Command gen learns what a chart knows of its values and writes it as facts that are
// embedded in lumacore: names and types of keys, nothing else of the chart.
//
//	go run ./internal/check/values/gen -source github.com/example/charts -revision web-1.2.3 \
//	    -license Apache-2.0 -repositories https://charts.example.org CHART
//
// CHART is a folder or an archive, with the charts that it depends on in its folder
// charts; one that is not there is taken to know every key.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"lumacore.dev/lumacore/internal/check/values"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	out := flag.String("out", "internal/check/values/facts", "`folder` to write to")
	source := flag.String("source", "", "where the chart's source is")
	revision := flag.String("revision", "", "tag or commit of the source")
	license := flag.String("license", "", "SPDX `identifier` of its license")
	repositories := flag.String("repositories", "", "`URLs` at which the chart is published, with commas")
	text := flag.Bool("text", false, "print the keys, one on each line, and write nothing")
	flag.Parse()
	if flag.NArg() != 1 || !*text && (*source == "" || *revision == "" || *license == "" || *repositories == "") {
		return fmt.Errorf("it takes -source, -revision, -license, -repositories and one chart; see go doc %s", "./internal/check/values/gen")
	}
	c, err := loader.Load(flag.Arg(0))
	if err != nil {
		return fmt.Errorf("chart %s: %w", flag.Arg(0), err)
	}
	f := &values.Facts{
		Chart: c.Name(), Version: c.Metadata.Version, Repositories: strings.Split(*repositories, ","),
		Source: *source, Revision: *revision, License: *license, Values: values.Learn(c),
	}
	if *text {
		return f.Print(os.Stdout)
	}
	data, err := f.Encode()
	if err != nil {
		return err
	}
	name := filepath.Join(*out, f.Chart+"@"+f.Version+".gz")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes\n", name, len(data))
	return nil
}
