package cri

import (
	"context"
	"time"

	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RunSandbox makes the pod's network namespace and starts what keeps it.
func (c *Client) RunSandbox(ctx context.Context, config *runtimev1.PodSandboxConfig, handler string) (string, error) {
	r, err := call(ctx, c.runtime.RunPodSandbox, &runtimev1.RunPodSandboxRequest{Config: config, RuntimeHandler: handler})
	return r.GetPodSandboxId(), err
}

// StopSandbox stops all that runs in the sandbox and gives its address back. Stopping twice is no error.
func (c *Client) StopSandbox(ctx context.Context, id string) error {
	_, err := call(ctx, c.runtime.StopPodSandbox, &runtimev1.StopPodSandboxRequest{PodSandboxId: id})
	return ignoreGone(err)
}

// RemoveSandbox removes the sandbox and its containers.
func (c *Client) RemoveSandbox(ctx context.Context, id string) error {
	_, err := call(ctx, c.runtime.RemovePodSandbox, &runtimev1.RemovePodSandboxRequest{PodSandboxId: id})
	return ignoreGone(err)
}

// CreateContainer makes a container that does not run yet.
func (c *Client) CreateContainer(ctx context.Context, sandboxID string, config *runtimev1.ContainerConfig, s *runtimev1.PodSandboxConfig) (string, error) {
	r, err := call(ctx, c.runtime.CreateContainer, &runtimev1.CreateContainerRequest{PodSandboxId: sandboxID, Config: config, SandboxConfig: s})
	return r.GetContainerId(), err
}

// StartContainer runs it.
func (c *Client) StartContainer(ctx context.Context, id string) error {
	_, err := call(ctx, c.runtime.StartContainer, &runtimev1.StartContainerRequest{ContainerId: id})
	return err
}

// StopContainer stops it, with grace.
func (c *Client) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+quick)
	defer cancel()
	_, err := c.runtime.StopContainer(ctx, &runtimev1.StopContainerRequest{ContainerId: id, Timeout: int64(grace / time.Second)})
	return ignoreGone(err)
}

// RemoveContainer removes a stopped container.
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	_, err := call(ctx, c.runtime.RemoveContainer, &runtimev1.RemoveContainerRequest{ContainerId: id})
	return ignoreGone(err)
}

// ReopenLog makes the runtime open its log file anew after the old one was moved away.
func (c *Client) ReopenLog(ctx context.Context, id string) error {
	_, err := call(ctx, c.runtime.ReopenContainerLog, &runtimev1.ReopenContainerLogRequest{ContainerId: id})
	return err
}

// ExecSync runs a command in the container. A timeout of 0 means none.
func (c *Client) ExecSync(ctx context.Context, id string, cmd []string, timeout time.Duration) ([]byte, int32, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout+5*time.Second)
		defer cancel()
	}
	r, err := c.runtime.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: cmd, Timeout: int64(timeout / time.Second)})
	if err != nil {
		return nil, 0, err
	}
	return append(r.Stdout, r.Stderr...), r.ExitCode, nil
}

// Exec prepares a streaming session.
func (c *Client) Exec(ctx context.Context, r *runtimev1.ExecRequest) (string, error) {
	a, err := call(ctx, c.runtime.Exec, r)
	return a.GetUrl(), err
}

// Attach prepares a streaming session.
func (c *Client) Attach(ctx context.Context, r *runtimev1.AttachRequest) (string, error) {
	a, err := call(ctx, c.runtime.Attach, r)
	return a.GetUrl(), err
}

// PortForward prepares a streaming session.
func (c *Client) PortForward(ctx context.Context, sandboxID string, ports []int32) (string, error) {
	a, err := call(ctx, c.runtime.PortForward, &runtimev1.PortForwardRequest{PodSandboxId: sandboxID, Port: ports})
	return a.GetUrl(), err
}

// Image looks one image up.
func (c *Client) Image(ctx context.Context, name string) (*runtimev1.Image, error) {
	r, err := call(ctx, c.images.ImageStatus, &runtimev1.ImageStatusRequest{Image: &runtimev1.ImageSpec{Image: name}})
	return r.GetImage(), err
}

// Images lists them all.
func (c *Client) Images(ctx context.Context) ([]*runtimev1.Image, error) {
	r, err := call(ctx, c.images.ListImages, &runtimev1.ListImagesRequest{})
	return r.GetImages(), err
}

// PullImage fetches an image; ctx alone bounds it.
func (c *Client) PullImage(ctx context.Context, name string, auth *runtimev1.AuthConfig, s *runtimev1.PodSandboxConfig) (string, error) {
	r, err := c.images.PullImage(ctx, &runtimev1.PullImageRequest{Image: &runtimev1.ImageSpec{Image: name, UserSpecifiedImage: name}, Auth: auth, SandboxConfig: s})
	return r.GetImageRef(), err
}

func ignoreGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// Message is the text of an error without gRPC's frame: what upstream shows in events and statuses.
func Message(err error) string { return status.Convert(err).Message() }
