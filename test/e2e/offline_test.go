//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
)

// offlineHelper is the first argument with which this test binary runs commands
// in a network namespace that has nothing but loopback.
const offlineHelper = "in-offline-namespace"

// offlineMain brings loopback up and runs each argument as a shell command.
func offlineMain(commands []string) int {
	if err := loopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "loopback:", err)
		return 1
	}
	for _, c := range commands {
		cmd := exec.Command("/bin/sh", "-c", c)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", c, err)
			return 1
		}
	}
	return 0
}
