package integration

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	crontabs    = schema.GroupVersionResource{Group: "stable.example.com", Version: "v1", Resource: "crontabs"}
)

// definition reads a definition from testdata.
func definition(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".yaml")
	require.NoError(t, err)
	return object(t, string(text))
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &u.Object))
	normal, err := json.Marshal(u.Object)
	require.NoError(t, err)
	require.NoError(t, u.UnmarshalJSON(normal))
	return u
}

// define makes a kind and returns when it is established.
func (s *server) define(u *unstructured.Unstructured) {
	s.Helper()
	_, err := s.dynamic.Resource(definitions).Create(s.Context(), u, metav1.CreateOptions{})
	require.NoError(s, err)
	s.established(u.GetName())
}

func (s *server) established(name string) {
	s.Helper()
	w, err := s.dynamic.Resource(definitions).Watch(s.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	require.NoError(s, err)
	defer w.Stop()
	for e := range w.ResultChan() {
		if condition(e.Object.(*unstructured.Unstructured), "Established") == "True" {
			return
		}
	}
	s.Fatal("the watch ended before the kind was established")
}

// condition is the status of one of the object's conditions.
func condition(u *unstructured.Unstructured, kind string) string {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range list {
		if c := c.(map[string]any); c["type"] == kind {
			return c["status"].(string)
		}
	}
	return ""
}

// change updates a definition by what edit does to it.
func (s *server) change(name string, edit func(spec map[string]any)) {
	s.Helper()
	s.until("the definition is changed", func() bool {
		u, err := s.dynamic.Resource(definitions).Get(s.Context(), name, metav1.GetOptions{})
		require.NoError(s, err)
		edit(u.Object["spec"].(map[string]any))
		_, err = s.dynamic.Resource(definitions).Update(s.Context(), u, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			return false
		}
		require.NoError(s, err)
		return true
	})
}

func (s *server) crontabs() dynamic.ResourceInterface {
	return s.dynamic.Resource(crontabs).Namespace("default")
}

func crontab(t *testing.T, name, spec string) *unstructured.Unstructured {
	return object(t, `{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"`+name+`"},"spec":`+spec+`}`)
}

// What is defined is there at once, and is an object like any other.
func TestCustomResource(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	ctx, c := t.Context(), s.crontabs()
	made, err := c.Create(ctx, crontab(t, "a", `{"cronSpec":"* *","color":"red","limit":"10%","note":null,"any":{"x":[1]},"image":null,"unknown":{"y":1}}`), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"cronSpec": "* *", "color": "red", "limit": "10%", "note": nil, "any": map[string]any{"x": []any{int64(1)}}, "replicas": int64(1)}, made.Object["spec"])
	require.EqualValues(t, 1, made.GetGeneration())

	// Generation and status.
	made.Object["status"] = map[string]any{"replicas": int64(7)}
	require.NoError(t, unstructured.SetNestedField(made.Object, int64(2), "spec", "replicas"))
	updated, err := c.Update(ctx, made, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 2, updated.GetGeneration())
	require.NotContains(t, updated.Object, "status")
	updated.Object["status"] = map[string]any{"replicas": int64(7), "selector": "a=b"}
	require.NoError(t, unstructured.SetNestedField(updated.Object, int64(9), "spec", "replicas"))
	updated, err = c.UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 2, updated.GetGeneration())
	replicas, _, _ := unstructured.NestedInt64(updated.Object, "spec", "replicas")
	require.EqualValues(t, 2, replicas)

	// Scale.
	scale, err := c.Get(ctx, "a", metav1.GetOptions{}, "scale")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"replicas": int64(7), "selector": "a=b"}, scale.Object["status"])
	require.NoError(t, unstructured.SetNestedField(scale.Object, int64(3), "spec", "replicas"))
	_, err = c.Update(ctx, scale, metav1.UpdateOptions{}, "scale")
	require.NoError(t, err)

	// Selectors, by label and by field, also after a restart: the store reads objects before it knows of kinds.
	b := crontab(t, "b", `{"cronSpec":"b","color":"blue"}`)
	b.SetLabels(map[string]string{"l": "b"})
	_, err = c.Create(ctx, b, metav1.CreateOptions{})
	require.NoError(t, err)
	for range 2 {
		require.Equal(t, []string{"b"}, s.namesOf(c, metav1.ListOptions{FieldSelector: "spec.color=blue"}))
		require.Equal(t, []string{"b"}, s.namesOf(c, metav1.ListOptions{LabelSelector: "l=b"}))
		require.Equal(t, []string{"a"}, s.namesOf(c, metav1.ListOptions{FieldSelector: "metadata.name=a"}))
		s.stop()
		s.start()
	}
	_, err = c.List(ctx, metav1.ListOptions{FieldSelector: "spec.image=x"})
	require.ErrorContains(t, err, "field label not supported: spec.image")
}

func (s *server) namesOf(c dynamic.ResourceInterface, o metav1.ListOptions) []string {
	s.Helper()
	list, err := c.List(s.Context(), o)
	require.NoError(s, err)
	var names []string
	for _, u := range list.Items {
		names = append(names, u.GetName())
	}
	return names
}

// What the schema and its rules do not allow is refused in upstream's words.
func TestCustomResourceRefusals(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	ctx, c := t.Context(), s.crontabs()
	for spec, want := range map[string]string{
		`{}`:                                                   `CronTab.stable.example.com "x" is invalid: [spec.cronSpec: Required value, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`,
		`{"cronSpec":"*","image":"bad"}`:                       `CronTab.stable.example.com "x" is invalid: spec: Invalid value: image may not be bad`,
		`{"cronSpec":"*","replicas":11}`:                       `CronTab.stable.example.com "x" is invalid: spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10`,
		`{"cronSpec":"*","color":"green"}`:                     `CronTab.stable.example.com "x" is invalid: [spec.color: Unsupported value: "green": supported values: "red", "blue", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`,
		`{"cronSpec":"*","tags":["a","a"]}`:                    `CronTab.stable.example.com "x" is invalid: spec.tags[1]: Duplicate value: "a"`,
		`{"cronSpec":"*","ports":[{"name":"a"},{"name":"a"}]}`: `CronTab.stable.example.com "x" is invalid: spec.ports[1]: Duplicate value: {"name":"a"}`,
		`{"cronSpec":"*","pod":{"kind":"Pod"}}`:                `CronTab.stable.example.com "x" is invalid: [spec.pod.apiVersion: Required value, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`,
	} {
		_, err := c.Create(ctx, crontab(t, "x", spec), metav1.CreateOptions{})
		require.EqualError(t, err, want, spec)
	}
	_, err := c.Create(ctx, crontab(t, "x", `{"cronSpec":"*","no":1}`), metav1.CreateOptions{FieldValidation: "Strict"})
	require.EqualError(t, err, `CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "spec.no"`)
	made, err := c.Create(ctx, crontab(t, "x", `{"cronSpec":"*","replicas":3}`), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.Patch(ctx, "x", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{})
	require.EqualError(t, err, `CronTab.stable.example.com "x" is invalid: spec.replicas: Forbidden: cannot shrink`)
	_, err = c.Patch(ctx, "x", types.StrategicMergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{})
	require.True(t, apierrors.IsUnsupportedMediaType(err), "%v", err)
	_, err = c.Patch(ctx, "x", types.JSONPatchType, []byte(`[{"op":"test","path":"/spec/replicas","value":3},{"op":"replace","path":"/spec/replicas","value":4}]`), metav1.PatchOptions{})
	require.NoError(t, err)
	_, err = c.Update(ctx, made, metav1.UpdateOptions{})
	require.True(t, apierrors.IsConflict(err), "%v", err)
	other := crontab(t, "y", `{"cronSpec":"*"}`)
	other.SetKind("Other")
	body, _ := json.Marshal(other)
	got := s.send("POST /apis/stable.example.com/v1/namespaces/default/crontabs", body)
	require.Equal(t, 422, got.code)
	require.Contains(t, string(got.body), `kind: Invalid value: \"Other\": must be CronTab`)
}

// An object from before its schema became stricter may stay as it is, while what changes has to fit.
func TestRatcheting(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	ctx, c := t.Context(), s.crontabs()
	_, err := c.Create(ctx, crontab(t, "x", `{"cronSpec":"very long","replicas":3}`), metav1.CreateOptions{})
	require.NoError(t, err)
	s.change("crontabs.stable.example.com", func(spec map[string]any) {
		v := spec["versions"].([]any)[0].(map[string]any)
		require.NoError(t, unstructured.SetNestedField(v, int64(2), "schema", "openAPIV3Schema", "properties", "spec", "properties", "cronSpec", "maxLength"))
	})
	s.until("the new schema holds", func() bool {
		_, err := c.Create(ctx, crontab(t, "y", `{"cronSpec":"long"}`), metav1.CreateOptions{DryRun: []string{"All"}})
		return apierrors.IsInvalid(err)
	})
	_, err = c.Patch(ctx, "x", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	_, err = c.Patch(ctx, "x", types.MergePatchType, []byte(`{"spec":{"cronSpec":"other"}}`), metav1.PatchOptions{})
	require.ErrorContains(t, err, "spec.cronSpec: Too long: may not be more than 2 bytes")
}

// Server-side apply knows which fields a schema has, and how its lists merge.
func TestCustomResourceApply(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	ctx, c := t.Context(), s.crontabs()
	apply := func(manager, spec string, force bool) error {
		_, err := c.Apply(ctx, "a", crontab(t, "a", spec), metav1.ApplyOptions{FieldManager: manager, Force: force})
		return err
	}
	require.NoError(t, apply("one", `{"cronSpec":"*","ports":[{"name":"a","port":1}]}`, false))
	require.NoError(t, apply("two", `{"ports":[{"name":"b","port":2}]}`, false))
	got, err := c.Get(ctx, "a", metav1.GetOptions{})
	require.NoError(t, err)
	ports, _, _ := unstructured.NestedSlice(got.Object, "spec", "ports")
	require.Equal(t, []any{map[string]any{"name": "a", "port": int64(1)}, map[string]any{"name": "b", "port": int64(2)}}, ports)
	err = apply("two", `{"cronSpec":"x"}`, false)
	require.True(t, apierrors.IsConflict(err), "%v", err)
	require.NoError(t, apply("two", `{"cronSpec":"x"}`, true))
	require.ErrorContains(t, apply("two", `{"no":"x"}`, true), ".spec.no: field not declared in schema")
	got, err = c.Get(ctx, "a", metav1.GetOptions{})
	require.NoError(t, err)
	ports, _, _ = unstructured.NestedSlice(got.Object, "spec", "ports")
	require.Len(t, ports, 1)
}

// Clients find the kind in discovery and OpenAPI, and kubectl gets its table.
func TestCustomResourceIsDescribed(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	list, err := s.client.Discovery().ServerResourcesForGroupVersion("stable.example.com/v1")
	require.NoError(t, err)
	var names []string
	for _, r := range list.APIResources {
		names = append(names, r.Name)
	}
	require.Equal(t, []string{"crontabs", "crontabs/status", "crontabs/scale"}, names)
	require.Equal(t, []string{"ct"}, list.APIResources[0].ShortNames)
	v3 := s.send("GET /openapi/v3/apis/stable.example.com/v1", nil)
	require.Equal(t, 200, v3.code)
	require.Contains(t, string(v3.body), `"com.example.stable.v1.CronTab"`)
	v2 := s.send("GET /openapi/v2", nil)
	require.Contains(t, string(v2.body), `"com.example.stable.v1.CronTabList"`)

	_, err = s.crontabs().Create(t.Context(), crontab(t, "a", `{"cronSpec":"* *"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	got := s.send("GET /apis/stable.example.com/v1/crontabs", nil, "Accept: application/json;as=Table;g=meta.k8s.io;v=v1")
	var table metav1.Table
	require.NoError(t, json.Unmarshal(got.body, &table))
	require.Equal(t, []string{"Name", "Spec", "Replicas", "Age"}, columnsOf(&table))
	require.Equal(t, []any{"a", "* *", float64(1)}, table.Rows[0].Cells[:3])
	meta := s.send("GET /apis/stable.example.com/v1/crontabs", nil, "Accept: application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
	require.Equal(t, 200, meta.code, "%s", meta.body)
	require.Equal(t, 406, s.send("GET /apis/stable.example.com/v1/crontabs", nil, "Accept: application/vnd.kubernetes.protobuf").code)
}

func columnsOf(table *metav1.Table) []string {
	var names []string
	for _, c := range table.ColumnDefinitions {
		names = append(names, c.Name)
	}
	return names
}

// Of two definitions that claim a name the first has it, and the other waits until it is free.
func TestNamesOfDefinitions(t *testing.T) {
	s := startServer(t)
	first := definition(t, "crontab")
	s.define(first)
	second := definition(t, "crontab")
	second.SetName("others.stable.example.com")
	for field, name := range map[string]string{"plural": "others", "singular": "other", "listKind": "OtherList"} {
		require.NoError(t, unstructured.SetNestedField(second.Object, name, "spec", "names", field))
	}
	_, err := s.dynamic.Resource(definitions).Create(t.Context(), second, metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("the names are refused", func() bool {
		u, err := s.dynamic.Resource(definitions).Get(t.Context(), second.GetName(), metav1.GetOptions{})
		require.NoError(t, err)
		return condition(u, "NamesAccepted") == "False" && condition(u, "Established") == "False"
	})
	require.Equal(t, 404, s.send("GET /apis/stable.example.com/v1/others", nil).code)
	require.NoError(t, s.dynamic.Resource(definitions).Delete(t.Context(), first.GetName(), metav1.DeleteOptions{}))
	s.established(second.GetName())
	require.Equal(t, 200, s.send("GET /apis/stable.example.com/v1/others", nil).code)
}

// With a definition go its objects, as soon as nothing holds them; whoever watches them sees it, and then the end.
func TestDefinitionIsDeleted(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	ctx, c := t.Context(), s.crontabs()
	held := crontab(t, "held", `{"cronSpec":"*"}`)
	held.SetFinalizers([]string{"example.com/held"})
	for _, u := range []*unstructured.Unstructured{held, crontab(t, "free", `{"cronSpec":"*"}`)} {
		_, err := c.Create(ctx, u, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	w, err := c.Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	require.NoError(t, err)
	defer w.Stop()
	require.NoError(t, s.dynamic.Resource(definitions).Delete(ctx, "crontabs.stable.example.com", metav1.DeleteOptions{}))
	s.until("only the held object is left", func() bool { return len(s.namesOf(c, metav1.ListOptions{})) == 1 })
	_, err = c.Create(ctx, crontab(t, "late", `{"cronSpec":"*"}`), metav1.CreateOptions{})
	require.EqualError(t, err, `crontabs.stable.example.com "late" is forbidden: create not allowed while custom resource definition is terminating`)
	_, err = c.Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	s.until("the definition is gone", func() bool {
		_, err := s.dynamic.Resource(definitions).Get(ctx, "crontabs.stable.example.com", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	s.until("the kind is gone", func() bool { return s.send("GET /apis/stable.example.com/v1/crontabs", nil).code == 404 })
	gone := map[string]bool{}
	for e := range within(t, w) {
		if e.Type == watch.Deleted {
			gone[e.Object.(*unstructured.Unstructured).GetName()] = true
		}
	}
	require.Equal(t, map[string]bool{"held": true, "free": true}, gone)
	s.define(definition(t, "crontab"))
	require.Empty(t, s.namesOf(c, metav1.ListOptions{}))
}

// within returns the events of w, which must end.
func within(t *testing.T, w watch.Interface) <-chan watch.Event {
	out := make(chan watch.Event)
	go func() {
		defer close(out)
		for deadline := time.After(inTime); ; {
			select {
			case e, ok := <-w.ResultChan():
				if !ok {
					return
				}
				out <- e
			case <-deadline:
				t.Error("the watch did not end")
				return
			}
		}
	}()
	return out
}

// Namespaces take their custom objects with them, and owners what they own.
func TestCustomResourcesAreCollected(t *testing.T) {
	c := startControllers(t)
	c.define(definition(t, "crontab"))
	c.namespace("doomed")
	ctx := t.Context()
	_, err := c.dynamic.Resource(crontabs).Namespace("doomed").Create(ctx, crontab(t, "a", `{"cronSpec":"*"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	owner, err := c.crontabs().Create(ctx, crontab(t, "owner", `{"cronSpec":"*"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	owned := configMap("owned", nil)
	owned.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, crontabs.GroupVersion().WithKind("CronTab"))}
	_, err = c.client.CoreV1().ConfigMaps("default").Create(ctx, owned, metav1.CreateOptions{})
	require.NoError(t, err)
	child := crontab(t, "child", `{"cronSpec":"*"}`)
	child.SetOwnerReferences(owned.OwnerReferences)
	_, err = c.crontabs().Create(ctx, child, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, c.crontabs().Delete(ctx, "owner", metav1.DeleteOptions{}))
	require.NoError(t, c.client.CoreV1().Namespaces().Delete(ctx, "doomed", metav1.DeleteOptions{}))
	c.until("the owned objects are gone", func() bool {
		_, err := c.client.CoreV1().ConfigMaps("default").Get(ctx, "owned", metav1.GetOptions{})
		_, childErr := c.crontabs().Get(ctx, "child", metav1.GetOptions{})
		return apierrors.IsNotFound(err) && apierrors.IsNotFound(childErr)
	})
	c.until("the namespace is gone", func() bool {
		_, err := c.client.CoreV1().Namespaces().Get(ctx, "doomed", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
