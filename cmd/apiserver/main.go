// Command apiserver is Bonsai's API server alone, as `bonsai up --separate` runs it.
package main

import (
	"bonsai/pkg/cli/component"
	"bonsai/pkg/cli/component/apiserver"
)

func main() { component.Main(apiserver.Command()) }
