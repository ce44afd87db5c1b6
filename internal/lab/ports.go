package lab

import (
	"fmt"
	"strconv"

	"lumacore.dev/lumacore/internal/lab/ports"
)

// Ports is the block of loopback ports of a lab: a named port is the base plus
// its place in portNames.
type Ports struct {
	Base int `json:"base"`
}

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
	"onepassword-connect", "onepassword-operator",
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
	return ports.Addr(p.get(name))
}

// num returns the port as a flag's value.
func (p Ports) num(name string) string { return strconv.Itoa(p.get(name)) }

// taken returns the first port of the block that something listens on.
func (p Ports) taken() (string, int) {
	for _, n := range portNames {
		if !ports.Free(p.get(n)) {
			return n, p.get(n)
		}
	}
	return "", 0
}

func (p Ports) free() bool {
	name, _ := p.taken()
	return name == ""
}

// choosePorts finds a free block. Should two labs that start at the same moment choose
// the same, the component that finds its port taken fails to start, says so, and `lab
// down` and `lab up` choose anew.
func choosePorts() (Ports, error) {
	base, err := ports.Block(len(portNames)+35, len(portNames)) // room to grow
	return Ports{Base: base}, err
}

func (p Ports) String() string { return fmt.Sprintf("%d–%d", p.Base, p.Base+len(portNames)-1) }
