package apiserver

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// wanted draws what a manager may apply: a Deployment or a Service with some of a few fields, each with one of a few values.
func wanted(r *rapid.T, kind string) *unstructured.Unstructured {
	text := func(values ...string) string { return rapid.SampledFrom(values).Draw(r, "value") }
	maybe := func(into map[string]any, name string, value any) {
		if rapid.IntRange(0, 4).Draw(r, name) > 0 {
			into[name] = value
		}
	}
	meta := map[string]any{"name": "x", "namespace": "default"}
	labels := map[string]any{}
	maybe(labels, "a", text("1", "2"))
	maybe(labels, "b", text("1", "2"))
	maybe(meta, "labels", labels)
	spec := map[string]any{}
	if kind == "Service" {
		maybe(spec, "selector", map[string]any{"app": text("1", "2")})
		maybe(spec, "type", text("ClusterIP", "NodePort"))
		port := map[string]any{"port": float64(rapid.IntRange(80, 81).Draw(r, "port"))}
		maybe(port, "targetPort", rapid.SampledFrom([]any{"web", 80.0, 81.0}).Draw(r, "target"))
		maybe(port, "protocol", "TCP")
		maybe(spec, "ports", []any{port})
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}}
	}
	maybe(spec, "replicas", float64(rapid.IntRange(0, 2).Draw(r, "replicas")))
	maybe(spec, "paused", rapid.Bool().Draw(r, "paused"))
	maybe(spec, "selector", map[string]any{"matchLabels": map[string]any{"app": text("1", "2")}})
	var containers []any
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID[string]).Draw(r, "containers") {
		c := map[string]any{"name": name}
		maybe(c, "image", text("i:1", "i:2"))
		maybe(c, "args", []any{text("x", "y")})
		maybe(c, "ports", []any{map[string]any{"containerPort": 80.0, "name": text("p", "q")}})
		maybe(c, "env", []any{map[string]any{"name": "E", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": text("metadata.name", "metadata.uid")}}}})
		maybe(c, "resources", map[string]any{"limits": map[string]any{"cpu": rapid.SampledFrom([]any{"100m", "0.1", 1.0, "2"}).Draw(r, "cpu")}})
		maybe(c, "livenessProbe", map[string]any{"httpGet": map[string]any{"port": rapid.SampledFrom([]any{"p", 80.0}).Draw(r, "probe")}})
		maybe(c, "securityContext", map[string]any{})
		containers = append(containers, c)
	}
	pod := map[string]any{}
	maybe(pod, "containers", containers)
	maybe(pod, "nodeSelector", map[string]any{"n": text("1", "2")})
	maybe(pod, "volumes", []any{map[string]any{"name": "v", "emptyDir": map[string]any{}}})
	maybe(spec, "template", map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": text("1", "2")}}, "spec": pod})
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec}}
}

// An apply that only sets values comes to what the library makes of it: the same object, the same owners, the same times.
func TestApplyingAgain(t *testing.T) {
	for kind, gvr := range map[string]schema.GroupVersionResource{
		"Deployment": appsv1.SchemeGroupVersion.WithResource("deployments"), "Service": corev1.SchemeGroupVersion.WithResource("services"),
	} {
		t.Run(kind, func(t *testing.T) {
			f, target := trackerFor(t, gvr.Resource, gvr.GroupVersion())
			m, err := f.manager(target.row, target.gvk(), "")
			require.NoError(t, err)
			simple := 0
			rapid.Check(t, func(r *rapid.T) {
				first := wanted(r, kind)
				old := applyByLibrary(r, f, target, target.row.StorageVersion().New(), first, "first")
				if rapid.Bool().Draw(r, "other") {
					old = applyByLibrary(r, f, target, old, wanted(r, kind), "second")
				}
				old.SetManagedFields(aged(old.GetManagedFields()))
				want := vary(r, first)
				sent := want.DeepCopy()
				quick := old.DeepCopyObject().(resource.Object)
				if !m.kind.Applied(quick, want.Object, "first", time.Now()) {
					require.Equal(r, old, quick)
					return
				}
				simple++
				require.Equal(r, sent, want)
				slow := applyByLibrary(r, f, target, old, want, "first")
				target.row.Default(quick)
				require.Equal(r, dated(slow.GetManagedFields()), dated(quick.GetManagedFields()))
				slow.SetManagedFields(nil)
				quick.SetManagedFields(nil)
				a, err := target.row.EncodeStorage(slow)
				require.NoError(r, err)
				b, err := target.row.EncodeStorage(quick)
				require.NoError(r, err)
				require.Equal(r, a, b)
			})
			require.Positive(t, simple)
		})
	}
}

// vary gives some of the values in what is wanted others of the same kind, most often none.
func vary(r *rapid.T, want *unstructured.Unstructured) *unstructured.Unstructured {
	text, err := json.Marshal(want)
	require.NoError(r, err)
	changed := string(text)
	for _, x := range [][2]string{{"i:1", "i:2"}, {`"replicas":1`, `"replicas":5`}, {`"a":"1"`, `"a":"3"`}, {`"100m"`, `"0.1"`}, {`["x"]`, `["y"]`}, {`"n":"1"`, `"n":"2"`},
		{"metadata.name", "metadata.uid"}, {`"targetPort":80`, `"targetPort":"web"`}, {`"paused":true`, `"paused":false`}, {`"ClusterIP"`, `"NodePort"`}, {`"E"`, `"F"`},
		{`"name":"p"`, `"name":null`}, {`"image":"i:1"`, `"image":1`}} {
		if rapid.IntRange(0, 5).Draw(r, x[0]) == 0 {
			changed = strings.ReplaceAll(changed, x[0], x[1])
		}
	}
	out := map[string]any{}
	require.NoError(r, json.Unmarshal([]byte(changed), &out))
	return &unstructured.Unstructured{Object: out}
}

func applyByLibrary(r *rapid.T, f *fieldTracker, t *target, old resource.Object, want *unstructured.Unstructured, manager string) resource.Object {
	old = old.DeepCopyObject().(resource.Object)
	old.GetObjectKind().SetGroupVersionKind(t.row.GVK())
	m, err := f.manager(t.row, t.gvk(), "")
	require.NoError(r, err)
	made, err := m.Apply(old, want.DeepCopy(), manager, true)
	require.NoError(r, err)
	obj := made.(resource.Object)
	t.row.Default(obj)
	return obj
}

// A body that is taken for JSON would have been read the same as YAML.
func TestPlainJSON(t *testing.T) {
	letters := rapid.SampledFrom([]rune(`abc"\/<>#&*!|%@,:-{}[] 'é~0123456789` + "\t\n\u2028\u007f\x00"))
	texts := rapid.OneOf(rapid.StringOfN(letters, 0, 6, -1), rapid.SampledFrom([]string{"<<", "true", "null", "2001-01-01", "0x10", "1_0", "", "=", "~"}))
	var values func(depth int) *rapid.Generator[any]
	values = func(depth int) *rapid.Generator[any] {
		gens := []*rapid.Generator[any]{texts.AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil), rapid.Float64().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny()}
		if depth > 0 {
			gens = append(gens, rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return values(depth - 1) }), 0, 3).AsAny(),
				rapid.MapOfN(texts, rapid.Deferred(func() *rapid.Generator[any] { return values(depth - 1) }), 0, 3).AsAny())
		}
		return rapid.OneOf(gens...)
	}
	taken := 0
	rapid.Check(t, func(r *rapid.T) {
		v := map[string]any{"k": values(3).Draw(r, "value")}
		body, err := json.Marshal(v)
		require.NoError(r, err)
		if rapid.Bool().Draw(r, "indented") {
			body, err = json.MarshalIndent(v, "", rapid.SampledFrom([]string{"", " ", "\t"}).Draw(r, "indent"))
			require.NoError(r, err)
		}
		if !plainJSON(body) {
			return
		}
		taken++
		var asJSON, asYAML map[string]any
		require.NoError(r, json.Unmarshal(body, &asJSON))
		require.NoError(r, yaml.UnmarshalStrict(body, &asYAML), "%s", body)
		require.True(r, reflect.DeepEqual(asJSON, asYAML), fmt.Sprintf("%s: %v, %v", body, asJSON, asYAML))
	})
	require.Positive(t, taken)
	for body, want := range map[string]bool{
		`{"a":1}`: true, `{"a":-1.5e3,"b":["x\n"]}`: true, "{\n\"a\": 1\n}": true, ``: false, ` {"a":1}`: false, `a: 1`: false,
		`{"a":-0}`: false, `{"a":"é"}`: false, `{"a":"\u00e9"}`: false, `{"a":"\/"}`: false, `{"<<":{"a":1}}`: false, `{"a" :1}`: false, "{\"a\"\n:1}": false,
		`{"` + strings.Repeat("a", 1100) + `":1}`: false, "{\t\"a\":1}": false,
	} {
		require.Equal(t, want, plainJSON([]byte(body)), body)
	}
}
