package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/yaml"

	"bonsai/pkg/resource"
)

// kind is one version of a row of the table, and the client for its objects.
type kind struct {
	*testing.T
	s      *server
	row    *resource.Row
	ver    resource.Version
	client dynamic.ResourceInterface
	path   string
	first  *unstructured.Unstructured // as it is to be made
	watch  watch.Interface
}

// Every kind does everything that a kind does: nothing in the row may be missing, and no row may be without this test.
func TestEveryKind(t *testing.T) {
	s := startServer(t)
	s.serviceAccount("default")
	for _, row := range resource.Table() {
		if row.Kind == "CustomResourceDefinition" {
			continue // the server goes on writing to it after each of these steps; customresource_test.go is about it
		}
		for _, ver := range row.Versions {
			name := ver.String() + " " + row.Kind
			t.Run(name, func(t *testing.T) {
				body, ok := least[name]
				require.True(t, ok, "say in least what %s needs", name)
				k := &kind{T: t, s: s, row: row, ver: ver}
				k.begin(body)
				k.nothingHappens()
				k.make()
				k.read()
				k.stored()
				k.putBack()
				k.change()
				k.patch()
				k.conflict()
				k.status()
				k.table()
				k.delete()
			})
		}
	}
}

func (k *kind) begin(body string) {
	k.first = &unstructured.Unstructured{Object: map[string]any{}}
	require.NoError(k, yaml.Unmarshal([]byte(body), &k.first.Object))
	k.first.SetAPIVersion(k.ver.String())
	k.first.SetKind(k.row.Kind)
	if k.first.GetName() == "" {
		k.first.SetName("it")
	}
	k.first.SetLabels(map[string]string{"test": "kinds"})
	gvr := k.ver.WithResource(k.row.Resource)
	k.client, k.path = k.s.dynamic.Resource(gvr), "/apis/"+k.ver.String()
	if k.ver.Group == "" {
		k.path = "/api/v1"
	}
	if k.row.Namespaced {
		k.client, k.path = k.s.dynamic.Resource(gvr).Namespace("default"), k.path+"/namespaces/default"
	}
	k.path += "/" + k.row.Resource
}

// list is that of the objects that this test makes.
func (k *kind) list() *unstructured.UnstructuredList {
	k.Helper()
	list, err := k.client.List(k.Context(), metav1.ListOptions{LabelSelector: "test=kinds"})
	require.NoError(k, err)
	return list
}

// nothingHappens asks for what is not to be done: a dry run, and an object with a field that there is not.
func (k *kind) nothingHappens() {
	before := k.list().GetResourceVersion()
	dry, err := k.client.Create(k.Context(), k.first, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.NoError(k, err)
	require.NotEmpty(k, dry.GetUID())
	wrong := k.first.DeepCopy()
	wrong.Object["colour"] = "red"
	_, err = k.client.Create(k.Context(), wrong, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	require.True(k, apierrors.IsBadRequest(err), "%v", err)
	require.ErrorContains(k, err, `strict decoding error: unknown field "colour"`)
	after := k.list()
	require.Empty(k, after.Items)
	require.Equal(k, before, after.GetResourceVersion())
}

func (k *kind) make() {
	var err error
	k.watch, err = k.client.Watch(k.Context(), metav1.ListOptions{LabelSelector: "test=kinds", ResourceVersion: k.list().GetResourceVersion()})
	require.NoError(k, err)
	k.Cleanup(k.watch.Stop)
	made, err := k.client.Create(k.Context(), k.first, metav1.CreateOptions{})
	require.NoError(k, err)
	require.NotEmpty(k, made.GetUID())
	require.NotZero(k, made.GetCreationTimestamp())
	k.sees(watch.Added, made)
	if saidOf[k.row.Kind] {
		k.sees(watch.Modified, nil)
	}
	_, err = k.client.Create(k.Context(), k.first, metav1.CreateOptions{})
	require.True(k, apierrors.IsAlreadyExists(err), "%v", err)
}

// sees waits for the next event, which has to be want, as the writer was told it.
func (k *kind) sees(event watch.EventType, want *unstructured.Unstructured) {
	k.Helper()
	select {
	case e := <-k.watch.ResultChan():
		require.Equal(k, event, e.Type, "%v", e.Object)
		if want != nil {
			require.Empty(k, cmp.Diff(want, e.Object))
		}
	case <-time.After(inTime):
		k.Fatalf("no %s event", event)
	}
}

// read finds the object by name and by label, the same in both encodings.
func (k *kind) read() {
	k.sameInBoth(k.path + "/" + k.first.GetName())
	k.sameInBoth(k.path + "?labelSelector=test%3Dkinds")
	require.Len(k, k.list().Items, 1)
}

func (k *kind) sameInBoth(path string) {
	k.Helper()
	var got [2]runtime.Object
	for i, accept := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		a := k.s.send("GET "+path, nil, "Accept: "+accept)
		require.Equal(k, http.StatusOK, a.code)
		require.Equal(k, accept, a.header.Get("Content-Type"))
		var err error
		got[i], _, err = decoder().Decode(a.body, nil, nil)
		require.NoError(k, err)
	}
	require.Empty(k, cmp.Diff(got[0], got[1]), "JSON (-) and protobuf (+) differ")
}

// stored reads the object from etcd by upstream's key and with upstream's types alone: at the version in which upstream keeps it, it is what the
// API shows at the row's.
func (k *kind) stored() {
	name, namespace := k.first.GetName(), ""
	path := "/apis/" + k.row.GVK().GroupVersion().String()
	if k.row.Group() == "" {
		path = "/api/v1"
	}
	if k.row.Namespaced {
		namespace = "default"
		path += "/namespaces/default"
	}
	shown, _, err := decoder().Decode(k.s.send("GET "+path+"/"+k.row.Resource+"/"+name, nil).body, nil, nil)
	require.NoError(k, err)
	got, err := k.s.etcd().Get(k.Context(), k.row.Key(namespace, name))
	require.NoError(k, err)
	require.Len(k, got.Kvs, 1, "%s", k.row.Key(namespace, name))
	if k.row.Kind == "Secret" {
		require.True(k, strings.HasPrefix(string(got.Kvs[0].Value), "k8s:enc:"), "a secret is stored in plain; encryption_test.go reads it")
		return
	}
	kept, _, err := decoder().Decode(got.Kvs[0].Value, nil, nil)
	require.NoError(k, err)
	m := kept.(metav1.Object)
	require.Empty(k, m.GetResourceVersion())
	m.SetResourceVersion(strconv.FormatInt(got.Kvs[0].ModRevision, 10))
	require.Equal(k, k.row.KeptGVK(), kept.GetObjectKind().GroupVersionKind())
	shown.GetObjectKind().SetGroupVersionKind(k.row.KeptGVK())
	require.Empty(k, cmp.Diff(k.content(shown), k.content(kept)), "what is shown (-) and what is stored (+) differ")
}

// content is what an object says, without what it says nothing of: fields that only the version has in which upstream keeps it.
func (k *kind) content(o runtime.Object) map[string]any {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	require.NoError(k, err)
	if spec, ok := content["spec"].(map[string]any); ok {
		maps.DeleteFunc(spec, func(_ string, v any) bool { return v == nil })
	}
	return content
}

// decoder knows the kinds of client-go, and those that it does not know. They are not added to client-go's scheme, because the server in
// this process has one of the same name.
var decoder = sync.OnceValue(func() runtime.Decoder {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiregistrationv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(known); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(known).UniversalDeserializer()
})

// putBack writes the object as it was read, in both encodings: nothing of it is lost on the way, so that nothing changes.
func (k *kind) putBack() {
	path := k.path + "/" + k.first.GetName()
	for _, encoding := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		read := k.s.send("GET "+path, nil, "Accept: "+encoding)
		require.Equal(k, http.StatusOK, read.code)
		written := k.s.send("PUT "+path, read.body, "Accept: "+encoding, "Content-Type: "+encoding)
		require.Equal(k, http.StatusOK, written.code, "%s", written.body)
		require.Equal(k, string(read.body), string(written.body), "in %s", encoding)
	}
}

// change updates the object, and tries to from a state that is no more.
func (k *kind) change() {
	seen, err := k.client.Get(k.Context(), k.first.GetName(), metav1.GetOptions{})
	require.NoError(k, err)
	stale := seen.DeepCopy()
	seen.SetAnnotations(map[string]string{"by": "update"})
	seen.SetFinalizers(nil) // admission protects storage from its birth, and nobody is here who would let go of it
	changed, err := k.client.Update(k.Context(), seen, metav1.UpdateOptions{})
	require.NoError(k, err)
	require.NotEqual(k, stale.GetResourceVersion(), changed.GetResourceVersion())
	require.Equal(k, "update", changed.GetAnnotations()["by"])
	k.sees(watch.Modified, changed)
	stale.SetAnnotations(map[string]string{"by": "a late one"})
	_, err = k.client.Update(k.Context(), stale, metav1.UpdateOptions{})
	require.True(k, apierrors.IsConflict(err), "%v", err)
	again, err := k.client.Update(k.Context(), changed, metav1.UpdateOptions{})
	require.NoError(k, err)
	require.Equal(k, changed.GetResourceVersion(), again.GetResourceVersion(), "an update without a change writes nothing")
}

// patch changes an annotation in each of the four ways, first without doing it.
func (k *kind) patch() {
	merge := func(by string) string { return fmt.Sprintf(`{"metadata":{"annotations":{"by":%q}}}`, by) }
	for _, p := range []struct {
		by, body string
		kind     types.PatchType
	}{
		{"json", `[{"op":"test","path":"/metadata/annotations/by","value":"update"},{"op":"replace","path":"/metadata/annotations/by","value":"json"}]`, types.JSONPatchType},
		{"merge", merge("merge"), types.MergePatchType},
		{"strategic", merge("strategic"), types.StrategicMergePatchType},
		{"apply", fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"annotations":{"by":"apply"}}}`, k.ver.String(), k.row.Kind, k.first.GetName()), types.ApplyPatchType},
	} {
		o := metav1.PatchOptions{FieldManager: "test", DryRun: []string{metav1.DryRunAll}}
		if p.kind == types.ApplyPatchType {
			o.Force = new(bool)
			*o.Force = true
		}
		before := k.list().GetResourceVersion()
		dry, err := k.client.Patch(k.Context(), k.first.GetName(), p.kind, []byte(p.body), o)
		require.NoError(k, err, p.by)
		require.Equal(k, p.by, dry.GetAnnotations()["by"])
		require.Equal(k, before, k.list().GetResourceVersion(), "%s: a dry run wrote something", p.by)
		o.DryRun = nil
		changed, err := k.client.Patch(k.Context(), k.first.GetName(), p.kind, []byte(p.body), o)
		require.NoError(k, err, p.by)
		require.Equal(k, p.by, changed.GetAnnotations()["by"])
		k.sees(watch.Modified, changed)
	}
	_, err := k.client.Patch(k.Context(), k.first.GetName(), types.MergePatchType, []byte(`{"colour":"red"}`),
		metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict})
	require.True(k, apierrors.IsInvalid(err), "%v", err)
	require.ErrorContains(k, err, `unknown field "colour"`)
}

// conflict applies another value than the one that is applied already, as somebody else.
func (k *kind) conflict() {
	body := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"annotations":{"by":"another"}}}`, k.ver.String(), k.row.Kind, k.first.GetName())
	_, err := k.client.Patch(k.Context(), k.first.GetName(), types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "other"})
	require.True(k, apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict), "%v", err)
	require.ErrorContains(k, err, `conflict with "test"`)
}

// status changes the status where there is one: there only, and nothing but it.
func (k *kind) status() {
	name, body := k.first.GetName(), map[string]any{}
	if k.row.Kind == "CSINode" {
		return // all that its status has belongs to a feature that is off
	}
	require.Equal(k, k.row.Status != nil, statuses[k.row.Kind] != "", "say in statuses what the status of a %s may be", k.row.Kind)
	if k.row.Status == nil {
		return
	}
	require.NoError(k, yaml.Unmarshal([]byte(statuses[k.row.Kind]), &body))
	patch, err := json.Marshal(map[string]any{"spec": nil, "status": body})
	require.NoError(k, err)
	before, err := k.client.Get(k.Context(), name, metav1.GetOptions{})
	require.NoError(k, err)
	elsewhere, err := json.Marshal(map[string]any{"status": body})
	require.NoError(k, err)
	same, err := k.client.Patch(k.Context(), name, types.StrategicMergePatchType, elsewhere, metav1.PatchOptions{})
	require.NoError(k, err)
	require.Equal(k, before.GetResourceVersion(), same.GetResourceVersion(), "the status is written by way of the object")

	after, err := k.client.Patch(k.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	require.NoError(k, err)
	k.sees(watch.Modified, after)
	require.Empty(k, cmp.Diff(before.Object["spec"], after.Object["spec"]), "the spec is written by way of the status")
	require.Equal(k, before.GetGeneration(), after.GetGeneration())
	require.NotEqual(k, before.Object["status"], after.Object["status"])
	read, err := k.client.Get(k.Context(), name, metav1.GetOptions{}, "status")
	require.NoError(k, err)
	require.Empty(k, cmp.Diff(after, read))
	_, err = k.client.UpdateStatus(k.Context(), before, metav1.UpdateOptions{})
	require.True(k, apierrors.IsConflict(err), "%v", err)
}

// table is what kubectl get prints.
func (k *kind) table() {
	a := k.s.send("GET "+k.path+"?labelSelector=test%3Dkinds", nil, "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	require.Equal(k, http.StatusOK, a.code)
	var table metav1.Table
	require.NoError(k, json.Unmarshal(a.body, &table))
	require.Equal(k, metav1.TypeMeta{Kind: "Table", APIVersion: "meta.k8s.io/v1"}, table.TypeMeta)
	require.Equal(k, k.row.Columns, table.ColumnDefinitions)
	require.Len(k, table.Rows, 1)
	cells := len(k.row.Columns)
	if k.row.Kind == "IPAddress" {
		cells++ // upstream shows its age in a column that it does not name
	}
	require.Len(k, table.Rows[0].Cells, cells)
	for i, column := range k.row.Columns {
		if strings.EqualFold(column.Name, "name") {
			require.Equal(k, k.first.GetName(), table.Rows[0].Cells[i])
		}
	}
	var partial metav1.PartialObjectMetadata
	require.NoError(k, json.Unmarshal(table.Rows[0].Object.Raw, &partial))
	require.Equal(k, "PartialObjectMetadata", partial.Kind)
	require.Equal(k, k.first.GetName(), partial.Name)
}

func (k *kind) delete() {
	name := k.first.GetName()
	require.NoError(k, k.client.Delete(k.Context(), name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
	require.Len(k, k.list().Items, 1)
	other := types.UID("other")
	err := k.client.Delete(k.Context(), name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}})
	require.True(k, apierrors.IsConflict(err), "%v", err)
	background := metav1.DeletePropagationBackground // for the kinds whose dependents are orphaned otherwise
	require.NoError(k, k.client.Delete(k.Context(), name, metav1.DeleteOptions{PropagationPolicy: &background}))
	k.release(name)
	k.sees(watch.Deleted, nil)
	_, err = k.client.Get(k.Context(), name, metav1.GetOptions{})
	require.True(k, apierrors.IsNotFound(err), "%v", err)
	require.True(k, apierrors.IsNotFound(k.client.Delete(k.Context(), name, metav1.DeleteOptions{})))
}

// release lets go of what stays until a controller says that nobody uses it, such as a namespace, until it is empty.
func (k *kind) release(name string) {
	if left, err := k.client.Get(k.Context(), name, metav1.GetOptions{}); err == nil && len(left.GetFinalizers()) > 0 {
		k.sees(watch.Modified, nil)
		_, err := k.client.Patch(k.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		require.NoError(k, err)
	}
	if k.row.Kind != "Namespace" {
		return
	}
	k.sees(watch.Modified, nil)
	ns, err := k.s.client.CoreV1().Namespaces().Get(k.Context(), name, metav1.GetOptions{})
	require.NoError(k, err)
	require.NotNil(k, ns.DeletionTimestamp)
	ns.Spec.Finalizers = nil
	_, err = k.s.client.CoreV1().Namespaces().Finalize(k.Context(), ns, metav1.UpdateOptions{})
	require.NoError(k, err)
}
