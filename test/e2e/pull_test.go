package e2e

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"bonsai/hack/images"
)

// Where the registries listen, inside the cluster's network namespace: one for everybody, one that asks who it is.
const (
	openRegistry   = "127.0.0.1:5000"
	closedRegistry = "127.0.0.1:5001"
)

// TestImagesFromElsewhere runs the scripts in testdata/pull, on images that come from registries and from archives.
func TestImagesFromElsewhere(t *testing.T) {
	c := startCluster(t)
	image := busyboxImage(t)
	c.serveRegistries(t, image)
	archives := t.TempDir()
	writeArchives(t, archives, image)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/pull",
		Setup: func(env *testscript.Env) error {
			env.Setenv("OPEN", openRegistry)
			env.Setenv("CLOSED", closedRegistry)
			env.Setenv("ARCHIVES", archives)
			return c.lesson(env)
		},
	})
}

// serveRegistries starts both registries with one image in them, busybox:1.
func (c *testCluster) serveRegistries(t *testing.T, image v1.Image) {
	t.Helper()
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	push(t, store, image)
	c.serve(t, openRegistry, store)
	c.serve(t, closedRegistry, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "gardener" || password != "pine" {
			w.Header().Set("WWW-Authenticate", `Basic realm="trees"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`, http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, r)
	}))
}

// push gives a registry an image as busybox:1: first what it consists of, then the manifest that names those.
func push(t *testing.T, store http.Handler, image v1.Image) {
	t.Helper()
	send := func(method, path, mediaType string, body io.Reader) {
		t.Helper()
		r := httptest.NewRequest(method, "/v2/busybox/"+path, body)
		r.Header.Set("Content-Type", mediaType)
		w := httptest.NewRecorder()
		store.ServeHTTP(w, r)
		require.Equal(t, http.StatusCreated, w.Code, "%s", w.Body)
	}
	layers, err := image.Layers()
	require.NoError(t, err)
	config, err := partial.ConfigLayer(image)
	require.NoError(t, err)
	for _, blob := range append(layers, config) {
		digest, err := blob.Digest()
		require.NoError(t, err)
		content, err := blob.Compressed()
		require.NoError(t, err)
		send(http.MethodPost, "blobs/uploads/?digest="+digest.String(), "application/octet-stream", content)
	}
	manifest, err := image.RawManifest()
	require.NoError(t, err)
	mediaType, err := image.MediaType()
	require.NoError(t, err)
	send(http.MethodPut, "manifests/1", string(mediaType), bytes.NewReader(manifest))
}

// serve serves HTTP inside the cluster's network namespace.
func (c *testCluster) serve(t *testing.T, address string, h http.Handler) {
	t.Helper()
	s := &http.Server{Handler: h}
	l := c.listen(t, address)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
}

// busyboxImage is the image that lessons use where they need a shell.
func busyboxImage(t *testing.T) v1.Image {
	t.Helper()
	dir := t.TempDir()
	unpack := exec.Command("tar", "-x", "-C", dir)
	in, err := unpack.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, unpack.Start())
	require.NoError(t, images.WriteBusybox(in, "example.com/oci:1"))
	require.NoError(t, in.Close())
	require.NoError(t, unpack.Wait())
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	image, err := index.Image(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	return image
}

// writeArchives writes the two forms in which images are handed around as files.
func writeArchives(t *testing.T, dir string, image v1.Image) {
	t.Helper()
	docker, err := name.NewTag("example.com/docker:1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(filepath.Join(dir, "docker.tar"), docker, image))
	oci, err := os.Create(filepath.Join(dir, "oci.tar"))
	require.NoError(t, err)
	defer oci.Close()
	require.NoError(t, images.WriteBusybox(oci, "example.com/oci:1"))
}
