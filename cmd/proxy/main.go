// Command proxy is Bonsai's proxy alone, as `bonsai up --separate` runs it.
package main

import (
	"bonsai/pkg/cli/component"
	"bonsai/pkg/cli/component/proxy"
)

func main() { component.Main(proxy.Command()) }
