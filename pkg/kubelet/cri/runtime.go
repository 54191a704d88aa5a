package cri

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Runtime is what the kubelet needs of a container runtime. Client is the only implementation: what depends on a
// runtime's answers is decided in packages without I/O and tested there, the rest is tested on a real one.
type Runtime interface {
	Version(ctx context.Context) (*runtimev1.VersionResponse, error)
	Status(ctx context.Context) (*runtimev1.StatusResponse, error)

	// Pods returns all that the runtime has with a pod's label, by pod; Pod returns one, empty if it has nothing.
	Pods(ctx context.Context) (map[types.UID]*Pod, error)
	Pod(ctx context.Context, uid types.UID) (*Pod, error)
	// Watch calls changed for the pod of each container event, and with "" when events may have been missed.
	// It returns when the stream breaks or ctx ends.
	Watch(ctx context.Context, changed func(types.UID)) error

	RunSandbox(ctx context.Context, c *runtimev1.PodSandboxConfig, handler string) (id string, err error)
	StopSandbox(ctx context.Context, id string) error
	RemoveSandbox(ctx context.Context, id string) error

	CreateContainer(ctx context.Context, sandboxID string, c *runtimev1.ContainerConfig, s *runtimev1.PodSandboxConfig) (id string, err error)
	StartContainer(ctx context.Context, id string) error
	// StopContainer sends the stop signal and, grace later, SIGKILL. It returns when the container is stopped.
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	RemoveContainer(ctx context.Context, id string) error
	ReopenLog(ctx context.Context, id string) error

	// ExecSync returns the combined output; a code other than 0 is not an error.
	ExecSync(ctx context.Context, id string, cmd []string, timeout time.Duration) (output []byte, code int32, err error)
	// Exec, Attach and PortForward return the URL of the runtime's streaming server for one session.
	Exec(ctx context.Context, r *runtimev1.ExecRequest) (url string, err error)
	Attach(ctx context.Context, r *runtimev1.AttachRequest) (url string, err error)
	PortForward(ctx context.Context, sandboxID string, ports []int32) (url string, err error)

	// Image returns nil when the runtime does not have it.
	Image(ctx context.Context, name string) (*runtimev1.Image, error)
	Images(ctx context.Context) ([]*runtimev1.Image, error)
	PullImage(ctx context.Context, name string, auth *runtimev1.AuthConfig, s *runtimev1.PodSandboxConfig) (ref string, err error)
}
