package kubelet_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"
)

func badImage(t *testing.T, c *kase) {
	c.create(`
metadata: {name: noimage}
spec:
  containers: [{name: main, image: "127.0.0.1:1/none"}]
`)
	c.waiting("noimage", "ErrImagePull")
	require.Contains(t, c.waiting("noimage", "ImagePullBackOff").State.Waiting.Message, `Back-off pulling image "127.0.0.1:1/none": ErrImagePull: `)
	require.Equal(t, corev1.PodPending, c.get("noimage").Status.Phase)
	c.event("noimage", `Failed Failed to pull image "127.0.0.1:1/none": `)
	c.delete("noimage", 1)
	c.gone("noimage")
}

func imageChanged(t *testing.T, c *kase) {
	c.create(`
metadata: {name: changing}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "bonsai.local/web:1"}]
`)
	c.ready("changing")
	patch := `{"spec":{"containers":[{"name":"main","image":"bonsai.local/web:2"}]}}`
	_, err := c.client.CoreV1().Pods("default").Patch(t.Context(), "changing", apitypes.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(t, err)
	c.event("changing", "Killing Container main definition changed, will be restarted")
	require.Equal(t, "bonsai.local/web:2", c.restarted("changing", 1).Image)
	c.delete("changing", 1)
}

// registryImages pulls from a registry that wants to know who asks.
func registryImages(t *testing.T, c *kase) {
	images := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	pushImage(t, images)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{
		corev1.DockerConfigJsonKey: []byte(`{"auths":{"http://` + host + `":{"username":"me","password":"secret"}}}`)}}
	_, err := c.client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{})
	require.NoError(t, err)
	for _, pod := range []string{"pulls", "locked"} {
		secrets := map[string]string{"pulls": "[{name: pull}]", "locked": "[]"}[pod]
		c.create("metadata: {name: " + pod + "}\nspec: {imagePullSecrets: " + secrets + `, containers: [{name: main, command: [none], imagePullPolicy: Always, image: "` + host + `/a/b:1"}]}`)
	}
	c.event("pulls", `Pulled Successfully pulled image "`+host+`/a/b:1" in `)
	c.waiting("pulls", "RunContainerError")
	c.waiting("locked", "ErrImagePull")
	c.event("locked", "Failed Error: ErrImagePull")
	c.delete("pulls", 1)
	c.delete("locked", 1)
}

// pushImage puts an image into a registry under the name a/b:1; it holds no program.
func pushImage(t *testing.T, registry http.Handler) {
	t.Helper()
	image, err := random.Image(1000, 2)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config.OS, config.Architecture = "linux", goruntime.GOARCH
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	send := func(method, path, contentType string, body []byte) {
		request := httptest.NewRequest(method, "/v2/a/b/"+path, bytes.NewReader(body))
		request.Header.Set("Content-Type", contentType)
		answer := httptest.NewRecorder()
		registry.ServeHTTP(answer, request)
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body)
	}
	blob := func(data []byte) {
		send("POST", fmt.Sprintf("blobs/uploads/?digest=sha256:%x", sha256.Sum256(data)), "application/octet-stream", data)
	}
	layers, err := image.Layers()
	require.NoError(t, err)
	for _, l := range layers {
		content, err := l.Compressed()
		require.NoError(t, err)
		data, err := io.ReadAll(content)
		require.NoError(t, err)
		blob(data)
	}
	raw, err := image.RawConfigFile()
	require.NoError(t, err)
	blob(raw)
	manifest, err := image.RawManifest()
	require.NoError(t, err)
	send("PUT", "manifests/1", string(types.DockerManifestSchema2), manifest)
}

// deletedInPull: a pull that takes for ever does not hold up the deletion of its pod.
func deletedInPull(t *testing.T, c *kase) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	asked := make(chan net.Conn, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			select {
			case asked <- conn:
			default:
			}
		}
	}()
	c.create(`
metadata: {name: slow}
spec:
  containers: [{name: main, image: "` + listener.Addr().String() + `/slow:1"}]
`)
	c.event("slow", "Pulling Pulling image ")
	<-asked
	require.Equal(t, corev1.PodPending, c.get("slow").Status.Phase)
	c.delete("slow", 30)
	c.gone("slow")
}
