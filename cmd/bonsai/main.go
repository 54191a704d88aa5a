// Command bonsai is a whole Kubernetes in one program; see pkg/cli for its commands.
package main

import (
	"os"

	"bonsai/pkg/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
