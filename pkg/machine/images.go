package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bonsai/pkg/machine/carried"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// CRI keeps its images in this namespace of containerd.
const imageNamespace = "k8s.io"

// pinnedLabel is CRI's, with this value, for images that the kubelet must not collect as garbage.
const pinnedLabel, pinnedValue = "io.cri-containerd.pinned", "pinned"

// Image is an image that a node has.
type Image struct {
	Name    string
	Digest  string
	Size    int64
	Created time.Time
}

// Images is the image store of one node.
type Images struct {
	client      *containerd.Client
	snapshotter string
}

// OpenImages connects to the cluster's containerd. Close ends the connection.
func OpenImages(dir Dir) (*Images, error) {
	client, err := containerd.New(dir.Socket(), containerd.WithDefaultNamespace(imageNamespace), containerd.WithTimeout(5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w (is the cluster running?)", dir.Socket(), err)
	}
	return &Images{client, snapshotter(dir)}, nil
}

// Close ends the connection.
func (i *Images) Close() error { return i.client.Close() }

// Load takes an archive of images, as `docker save` writes it or an OCI layout in a tar file, compressed or not,
// makes them ready to run, and returns their names.
func (i *Images) Load(ctx context.Context, archive io.Reader) ([]string, error) {
	return i.load(ctx, archive, nil)
}

func (i *Images) load(ctx context.Context, archive io.Reader, labels map[string]string) ([]string, error) {
	ctx = namespaces.WithNamespace(ctx, imageNamespace)
	opts := []containerd.ImportOpt{containerd.WithSkipMissing()}
	if labels != nil {
		opts = append(opts, containerd.WithImageLabels(labels))
	}
	plain, err := compression.DecompressStream(archive)
	if err != nil {
		return nil, fmt.Errorf("read image archive: %w", err)
	}
	defer plain.Close()
	loaded, err := i.client.Import(ctx, plain, opts...)
	if err != nil {
		return nil, fmt.Errorf("load images: %w", err)
	}
	if len(loaded) == 0 {
		return nil, errors.New("load images: the archive names no image; write it with `docker save NAME:TAG` or `skopeo copy docker://NAME:TAG docker-archive:FILE:NAME:TAG`")
	}
	names := make([]string, 0, len(loaded))
	for _, image := range loaded {
		if err := containerd.NewImage(i.client, image).Unpack(ctx, i.snapshotter); err != nil {
			return nil, fmt.Errorf("unpack image %s: %w", image.Name, err)
		}
		names = append(names, image.Name)
	}
	return names, i.waitForCRI(ctx, names)
}

// waitForCRI waits until CRI knows the images. It learns of them through containerd's events, some milliseconds
// after they are there, and does not tell when; a pod that starts in between would try to pull its image.
func (i *Images) waitForCRI(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	service := cri.NewImageServiceClient(i.client.Conn().(*grpc.ClientConn)) // New dials gRPC only
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, name := range names {
		for {
			status, err := service.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
			if err != nil {
				return fmt.Errorf("wait for image %s: %w", name, err)
			}
			if status.Image != nil {
				break
			}
			<-tick.C
		}
	}
	return nil
}

// LoadCarried loads the images that the binary carries, unless the node has them: that is the usual start, and
// costs one question.
func (i *Images) LoadCarried(ctx context.Context, archive *carried.Archive) error {
	have, err := i.client.ImageService().List(namespaces.WithNamespace(ctx, imageNamespace))
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	if hasAll(have, archive.Images) {
		return nil
	}
	layout, err := archive.Open(carried.Images)
	if err != nil {
		return err
	}
	defer layout.Close()
	_, err = i.load(ctx, layout, map[string]string{pinnedLabel: pinnedValue})
	return err
}

// hasAll says whether every wanted name is there and stands for the wanted manifest.
func hasAll(have []images.Image, want map[string]string) bool {
	digests := map[string]string{}
	for _, image := range have {
		digests[image.Name] = image.Target.Digest.String()
	}
	for name, digest := range want {
		if digests[name] != digest {
			return false
		}
	}
	return true
}

// List returns the node's images by name. CRI also keeps each image under its digests; those are left out.
func (i *Images) List(ctx context.Context) ([]Image, error) {
	all, err := i.client.ListImages(namespaces.WithNamespace(ctx, imageNamespace))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var list []Image
	for _, image := range all {
		if strings.HasPrefix(image.Name(), "sha256:") || strings.Contains(image.Name(), "@") {
			continue
		}
		size, err := image.Size(namespaces.WithNamespace(ctx, imageNamespace))
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("size of image %s: %w", image.Name(), err)
		}
		list = append(list, Image{image.Name(), image.Target().Digest.String(), size, image.Metadata().CreatedAt})
	}
	slices.SortFunc(list, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Remove forgets an image by its complete name. Containers that were made from it run on.
func (i *Images) Remove(ctx context.Context, name string) error {
	err := i.client.ImageService().Delete(namespaces.WithNamespace(ctx, imageNamespace), name, images.SynchronousDelete())
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: the node has no such image (`bonsai image ls` shows the names)", name)
	}
	if err != nil {
		return fmt.Errorf("remove image %s: %w", name, err)
	}
	return nil
}
