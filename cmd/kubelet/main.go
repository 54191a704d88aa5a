// Command kubelet is Bonsai's kubelet alone, as `bonsai up --separate` runs it.
package main

import (
	"bonsai/pkg/cli/component"
	"bonsai/pkg/cli/component/kubelet"
)

func main() { component.Main(kubelet.Command()) }
