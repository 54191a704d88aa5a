// Package containerd is containerd, as a function.
//
// A node needs a container runtime, and a learner should not have to install one. So the one binary is also
// containerd: `bonsai containerd` runs this package's Main in a process of its own, a child of the node. A
// child and not a goroutine, for two reasons. Containers must survive a crash of the control plane, which
// works because containerd and its shims know how to find each other again; and whoever looks at the process
// list sees the same containerd that they will meet in production, with its own memory, log and socket.
//
// What containerd can do is decided by which plugins are linked in. The list below is what CRI needs and
// nothing more: upstream's own list also links btrfs, zfs, devmapper, erofs and blockfile snapshotters, image
// verification and tracing, none of which a node of Bonsai uses, each of which costs start time and memory.
package containerd

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/cmd/containerd/command"

	// What containers are made from: content, snapshots, and how a layer becomes a snapshot.
	_ "github.com/containerd/containerd/v2/plugins/content/local/plugin"
	_ "github.com/containerd/containerd/v2/plugins/diff/walking/plugin"
	_ "github.com/containerd/containerd/v2/plugins/gc"
	_ "github.com/containerd/containerd/v2/plugins/leases"
	_ "github.com/containerd/containerd/v2/plugins/metadata"
	_ "github.com/containerd/containerd/v2/plugins/mount"
	_ "github.com/containerd/containerd/v2/plugins/snapshots/native/plugin"
	_ "github.com/containerd/containerd/v2/plugins/snapshots/overlay/plugin"
	_ "github.com/containerd/containerd/v2/plugins/streaming"
	_ "github.com/containerd/containerd/v2/plugins/transfer"

	// How they run: shims, and the types of the runc options that the configuration file uses.
	_ "github.com/containerd/containerd/api/types/runc/options"
	_ "github.com/containerd/containerd/v2/core/metrics/cgroups"
	_ "github.com/containerd/containerd/v2/core/metrics/cgroups/v2"
	_ "github.com/containerd/containerd/v2/core/runtime/v2"
	_ "github.com/containerd/containerd/v2/plugins/events"
	_ "github.com/containerd/containerd/v2/plugins/nri"
	_ "github.com/containerd/containerd/v2/plugins/sandbox"

	// Who asks: CRI for the kubelet, and the services that `bonsai image` and CRI itself call.
	_ "github.com/containerd/containerd/v2/plugins/cri"
	_ "github.com/containerd/containerd/v2/plugins/cri/images"
	_ "github.com/containerd/containerd/v2/plugins/cri/runtime"
	_ "github.com/containerd/containerd/v2/plugins/server/grpc"
	_ "github.com/containerd/containerd/v2/plugins/server/ttrpc"
	_ "github.com/containerd/containerd/v2/plugins/services/containers"
	_ "github.com/containerd/containerd/v2/plugins/services/content"
	_ "github.com/containerd/containerd/v2/plugins/services/diff"
	_ "github.com/containerd/containerd/v2/plugins/services/events"
	_ "github.com/containerd/containerd/v2/plugins/services/images"
	_ "github.com/containerd/containerd/v2/plugins/services/introspection"
	_ "github.com/containerd/containerd/v2/plugins/services/leases"
	_ "github.com/containerd/containerd/v2/plugins/services/namespaces"
	_ "github.com/containerd/containerd/v2/plugins/services/sandbox"
	_ "github.com/containerd/containerd/v2/plugins/services/snapshots"
	_ "github.com/containerd/containerd/v2/plugins/services/tasks"
	_ "github.com/containerd/containerd/v2/plugins/services/version"
	_ "github.com/containerd/containerd/v2/plugins/services/warning"
)

// Main runs containerd with its own command line (args without the program's name) until it is signalled to
// stop, and returns the exit code. Errors go to stderr in containerd's own form.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	if err := command.App().Run(ctx, append([]string{"containerd"}, args...)); err != nil {
		fmt.Fprintln(stderr, "containerd:", err)
		return 1
	}
	return 0
}
