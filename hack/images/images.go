// Package images makes container images from files, without a container engine: the few images that the binary
// carries, and those that tests need.
//
// An image here is one layer and some environment. Everything that could differ between two builds of the
// same files (times, owners, the order of entries) is fixed, so the same files give the same digests, and a
// cluster that already has the images need not load them again. Layers are not compressed: the archive they
// travel in is, better and once, and unpacking them is then a copy.
package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0).UTC()

// Entry is one file of an image: a directory if its mode says so, a symbolic link if Link is set.
type Entry struct {
	Path string
	Mode fs.FileMode
	Data []byte
	Link string
}

// Image is what an image is made from. Name is complete, with registry and tag.
type Image struct {
	Name    string
	Entries []Entry
	Config  v1.Config
}

// Pause is the image of pod sandboxes, from the pause program.
func Pause(program []byte) Image {
	return Image{
		Name:    "bonsai.local/pause:1",
		Entries: []Entry{{Path: "pause", Mode: 0o755, Data: program}},
		Config:  v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"},
	}
}

// Web is the demo server in the given version. Versions share their layer and differ in VERSION only.
func Web(program []byte, version string) Image {
	return Image{
		Name:    "bonsai.local/web:" + version,
		Entries: []Entry{{Path: "web", Mode: 0o755, Data: program}},
		Config: v1.Config{
			Entrypoint:   []string{"/web"},
			Env:          []string{"PATH=/", "VERSION=" + version},
			User:         "65532:65532",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		},
	}
}

// WriteBusybox writes a small userland for tests, made from the static busybox of this machine, as an archive
// with one image. It is not carried in the binary.
func WriteBusybox(w io.Writer, name string) error {
	image, err := busybox(name, "/bin/busybox")
	if err != nil {
		return err
	}
	_, err = WriteLayout(w, image)
	return err
}

func busybox(name, program string) (Image, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return Image{}, fmt.Errorf("read busybox: %w (apt-get install busybox-static)", err)
	}
	list, err := exec.Command(program, "--list").Output()
	if err != nil {
		return Image{}, fmt.Errorf("list the applets of %s: %w", program, err)
	}
	entries := []Entry{
		{Path: "bin", Mode: fs.ModeDir | 0o755},
		{Path: "etc", Mode: fs.ModeDir | 0o755},
		{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
		{Path: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnogroup:x:65534:\n")},
		{Path: "bin/busybox", Mode: 0o755, Data: data},
	}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			entries = append(entries, Entry{Path: "bin/" + applet, Link: "busybox"})
		}
	}
	return Image{
		Name:    name,
		Entries: entries,
		Config:  v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}},
	}, nil
}

// Digests says which manifest each name stands for.
type Digests map[string]string

// WriteLayout writes the images as one OCI layout in a tar archive, and says their digests.
func WriteLayout(w io.Writer, images ...Image) (Digests, error) {
	dir, err := os.MkdirTemp("", "bonsai-images-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root, err := layout.Write(dir, empty.Index)
	if err != nil {
		return nil, fmt.Errorf("start image layout: %w", err)
	}
	digests := Digests{}
	for _, image := range images {
		if digests[image.Name], err = image.appendTo(root); err != nil {
			return nil, fmt.Errorf("build image %s: %w", image.Name, err)
		}
	}
	return digests, tarDir(w, dir)
}

// appendTo adds the image to a layout, under the annotations by which containerd and others know its name.
func (i Image) appendTo(root layout.Path) (string, error) {
	built, err := i.build()
	if err != nil {
		return "", err
	}
	digest, err := built.Digest()
	if err != nil {
		return "", err
	}
	_, tag, _ := strings.Cut(path.Base(i.Name), ":")
	return digest.String(), root.AppendImage(built, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          i.Name,
		"org.opencontainers.image.ref.name": tag,
	}), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
}

func (i Image) build() (v1.Image, error) {
	layer, err := layerOf(i.Entries)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Created = v1.Time{Time: epoch}
	config.History = nil
	config.Config = i.Config
	return mutate.ConfigFile(image, config)
}

func layerOf(entries []Entry) (v1.Layer, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := tw.WriteHeader(e.header()); err != nil {
			return nil, err
		}
		if _, err := tw.Write(e.Data); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(buf.Bytes(), types.OCIUncompressedLayer), nil
}

func (e Entry) header() *tar.Header {
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
	switch {
	case e.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
	case e.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		if e.Mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
	default:
		h.Typeflag, h.Size = tar.TypeReg, int64(len(e.Data))
	}
	return h
}

// tarDir writes the files below dir, in the order of their names.
func tarDir(w io.Writer, dir string) error {
	tw := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if err := tw.WriteHeader(Entry{Path: name, Mode: 0o644, Data: data}.header()); err != nil {
			return err
		}
		_, err = tw.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return tw.Close()
}
