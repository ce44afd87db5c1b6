// Package ports finds free ports on loopback: blocks of several in a row, because one
// number is easier to keep free, to record and to tell apart in a log than thirty.
package ports

import (
	"math/rand/v2"
	"net"
	"strconv"

	"lumacore.dev/lumacore/internal/report"
)

// Blocks lie below the ephemeral ranges of Linux (32768–60999) and macOS
// (49152–65535): a port there can be taken by any outgoing connection in the
// moment in which its component restarts.
const (
	first = 20000
	last  = 32000
)

// Addr returns 127.0.0.1:PORT.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Free tells whether nothing listens on a port.
func Free(port int) bool {
	l, err := net.Listen("tcp", Addr(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// Block finds a block of ports of which the first n are free, and returns its first.
// Blocks of one size do not overlap, and are chosen at random, so that two callers at
// the same moment rarely meet; if they do, what finds its port taken fails to start.
func Block(size, n int) (int, error) {
	for _, b := range rand.Perm((last - first) / size) {
		base := first + b*size
		free := true
		for i := 0; i < n && free; i++ {
			free = Free(base + i)
		}
		if free {
			return base, nil
		}
	}
	return 0, report.Refuse("see what listens there: ss -ltn", "no block of %d free ports on 127.0.0.1 between %d and %d", n, first, last)
}
