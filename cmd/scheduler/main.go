// Command scheduler is Bonsai's scheduler alone, as `bonsai up --separate` runs it.
package main

import (
	"bonsai/pkg/cli/component"
	"bonsai/pkg/cli/component/scheduler"
)

func main() { component.Main(scheduler.Command()) }
