// Command controller-manager is Bonsai's controllers alone, as `bonsai up --separate` runs it.
package main

import (
	"bonsai/pkg/cli/component"
	"bonsai/pkg/cli/component/controllermanager"
)

func main() { component.Main(controllermanager.Command()) }
