// Command lumacore is the tool of a homelab that can be proven; see
// `lumacore help` and the README.
package main

import (
	"os"

	"lumacore.dev/lumacore/internal/cli"
)

func main() { os.Exit(cli.Main()) }
