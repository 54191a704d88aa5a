package cri

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// quick bounds calls that have no reason to last.
const quick = 2 * time.Minute

// maxMessage allows for answers with many containers.
const maxMessage = 16 << 20

// Client is Runtime over gRPC.
type Client struct {
	conn    *grpc.ClientConn
	runtime runtimev1.RuntimeServiceClient
	images  runtimev1.ImageServiceClient
}

// Dial prepares the connection to a unix socket, given as a path or a unix:// URL. It does not wait for the
// runtime: the first call does.
func Dial(endpoint string) (*Client, error) {
	path := strings.TrimPrefix(endpoint, "unix://")
	conn, err := grpc.NewClient("unix://"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connect to the container runtime at %s: %w", path, err)
	}
	return &Client{conn, runtimev1.NewRuntimeServiceClient(conn), runtimev1.NewImageServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// call does one RPC with a deadline.
func call[Q, A any](ctx context.Context, rpc func(context.Context, Q, ...grpc.CallOption) (A, error), q Q) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	return rpc(ctx, q)
}

// Version names the runtime.
func (c *Client) Version(ctx context.Context) (*runtimev1.VersionResponse, error) {
	return call(ctx, c.runtime.Version, &runtimev1.VersionRequest{Version: "0.1.0"})
}

// Status tells whether runtime and network are ready.
func (c *Client) Status(ctx context.Context) (*runtimev1.StatusResponse, error) {
	return call(ctx, c.runtime.Status, &runtimev1.StatusRequest{})
}

// Pods returns every pod that the runtime has something of.
func (c *Client) Pods(ctx context.Context) (map[types.UID]*Pod, error) {
	return c.list(ctx, nil)
}

// Pod returns what the runtime has of one pod.
func (c *Client) Pod(ctx context.Context, uid types.UID) (*Pod, error) {
	pods, err := c.list(ctx, map[string]string{LabelPodUID: string(uid)})
	if err != nil {
		return nil, err
	}
	if p := pods[uid]; p != nil {
		return p, nil
	}
	return &Pod{UID: uid}, nil
}

func (c *Client) list(ctx context.Context, labels map[string]string) (map[types.UID]*Pod, error) {
	pods := map[types.UID]*Pod{}
	if err := c.listSandboxes(ctx, labels, pods); err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	if err := c.listContainers(ctx, labels, pods); err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, p := range pods {
		p.sort()
	}
	return pods, nil
}

// podOf finds or makes the pod of an item by its labels; nil if the item is no pod's.
func podOf(pods map[types.UID]*Pod, labels map[string]string) *Pod {
	uid := types.UID(labels[LabelPodUID])
	if uid == "" {
		return nil
	}
	if pods[uid] == nil {
		pods[uid] = &Pod{UID: uid, Namespace: labels[LabelPodNamespace], Name: labels[LabelPodName]}
	}
	return pods[uid]
}

func (c *Client) listSandboxes(ctx context.Context, labels map[string]string, pods map[types.UID]*Pod) error {
	list, err := call(ctx, c.runtime.ListPodSandbox, &runtimev1.ListPodSandboxRequest{Filter: &runtimev1.PodSandboxFilter{LabelSelector: labels}})
	if err != nil {
		return err
	}
	for _, item := range list.Items {
		p := podOf(pods, item.Labels)
		if p == nil {
			continue
		}
		s, err := call(ctx, c.runtime.PodSandboxStatus, &runtimev1.PodSandboxStatusRequest{PodSandboxId: item.Id})
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		p.Sandboxes = append(p.Sandboxes, sandboxOf(s.Status))
	}
	return nil
}

func (c *Client) listContainers(ctx context.Context, labels map[string]string, pods map[types.UID]*Pod) error {
	list, err := call(ctx, c.runtime.ListContainers, &runtimev1.ListContainersRequest{Filter: &runtimev1.ContainerFilter{LabelSelector: labels}})
	if err != nil {
		return err
	}
	for _, item := range list.Containers {
		p := podOf(pods, item.Labels)
		if p == nil {
			continue
		}
		s, err := call(ctx, c.runtime.ContainerStatus, &runtimev1.ContainerStatusRequest{ContainerId: item.Id})
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		p.Containers = append(p.Containers, containerOf(item.PodSandboxId, s.Status))
	}
	return nil
}

// gone is the answer for something removed between listing it and asking for it.
func gone(err error) bool { return status.Code(err) == codes.NotFound }

// Watch follows the runtime's container events. When the stream is up it reports "" once: what happened before
// is to be looked at anew.
func (c *Client) Watch(ctx context.Context, changed func(types.UID)) error {
	stream, err := c.runtime.GetContainerEvents(ctx, &runtimev1.GetEventsRequest{})
	if err != nil {
		return err
	}
	changed("")
	for {
		e, err := stream.Recv()
		if err != nil {
			return err
		}
		changed(types.UID(e.GetPodSandboxStatus().GetMetadata().GetUid()))
	}
}
