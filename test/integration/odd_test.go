package integration

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// Names in a URL reach nothing but the object that is called so.
func TestOddPaths(t *testing.T) {
	s := startServer(t)
	_, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("a", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	for _, name := range []string{"%2e%2e", "..%2fdefault%2fa", "%00", "%ff", "a%00", "default%2fa", "%20a"} {
		got := s.send("GET "+configMaps+"/"+name, nil)
		require.Contains(t, []int{400, 404}, got.code, "%s: %s", name, got.body)
	}
	require.NotEqual(t, 200, s.send("GET /api/v1/namespaces/default%2fconfigmaps/configmaps/a", nil).code)
	require.NotEqual(t, 200, s.send("GET /api/v1/configmaps/default%2fa", nil).code)
}

// Bytes that are no text, which protobuf lets through, spoil no list and no watch.
func TestNoText(t *testing.T) {
	s := startServer(t)
	m := configMap("b", nil)
	m.Data = map[string]string{"k": "\xff\xfe"}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	var b bytes.Buffer
	require.NoError(t, protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(m, &b))
	made := s.send("POST "+configMaps, b.Bytes(), "Content-Type: application/vnd.kubernetes.protobuf")
	require.Equal(t, 201, made.code, "%s", made.body)
	var list corev1.ConfigMapList
	got := s.send("GET "+configMaps, nil)
	require.NoError(t, json.Unmarshal(got.body, &list))
	require.Len(t, list.Items, 1)
	require.Equal(t, "\ufffd\ufffd", list.Items[0].Data["k"])
}
