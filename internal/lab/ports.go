package lab

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	"lumacore.dev/lumacore/internal/report"
)

// Ports is the block of loopback ports of a lab: a named port is the base plus
// its place in portNames. One number is easier to keep free, to record and to
// tell apart in a log than thirty.
type Ports struct {
	Base int `json:"base"`
}

// Blocks lie below the ephemeral ranges of Linux (32768–60999) and macOS
// (49152–65535): a port there can be taken by any outgoing connection in the
// moment in which its component restarts.
const (
	firstPort = 20000
	lastPort  = 32000
)

// portNames only grows: the places of older names must not move.
var portNames = []string{
	"etcd", "etcd-peer", "etcd-metrics",
	"kube-apiserver", "kube-controller-manager", "kube-scheduler",
	"kwok", "git", "registry",
	"source-controller", "source-controller-metrics", "source-controller-artifacts",
	"kustomize-controller", "kustomize-controller-metrics",
	"helm-controller", "helm-controller-metrics",
	"notification-controller", "notification-controller-metrics",
	"notification-controller-events", "notification-controller-receiver",
	"image-reflector-controller", "image-reflector-controller-metrics",
	"image-automation-controller", "image-automation-controller-metrics",
	"gatekeeper", "gatekeeper-metrics", "gatekeeper-webhook",
}

// get returns the port of a name.
func (p Ports) get(name string) int {
	for i, n := range portNames {
		if n == name {
			return p.Base + i
		}
	}
	panic("lab: no port is named " + name)
}

// addr returns 127.0.0.1:PORT.
func (p Ports) addr(name string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.get(name)))
}

// num returns the port as a flag's value.
func (p Ports) num(name string) string { return strconv.Itoa(p.get(name)) }

// taken returns the first port of the block that something listens on.
func (p Ports) taken() (string, int) {
	for _, n := range portNames {
		l, err := net.Listen("tcp", p.addr(n))
		if err != nil {
			return n, p.get(n)
		}
		l.Close()
	}
	return "", 0
}

func (p Ports) free() bool {
	name, _ := p.taken()
	return name == ""
}

// choosePorts finds a free block. Blocks are chosen at random, so that two labs
// that start at the same moment rarely meet; if they do, the component that
// finds its port taken fails to start, says so, and `lab down` and `lab up`
// choose anew.
func choosePorts() (Ports, error) {
	size := len(portNames) + 37 // room to grow
	blocks := (lastPort - firstPort) / size
	for _, b := range rand.Perm(blocks) {
		if p := (Ports{Base: firstPort + b*size}); p.free() {
			return p, nil
		}
	}
	return Ports{}, report.Refuse("see what listens there: ss -ltn", "no block of %d free ports on 127.0.0.1 between %d and %d",
		size, firstPort, lastPort)
}

func (p Ports) String() string { return fmt.Sprintf("%d–%d", p.Base, p.Base+len(portNames)-1) }
