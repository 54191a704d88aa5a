package apiserver

import (
	"strings"
	"testing"

	"bonsai/pkg/resource"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
)

// patchable are objects of kinds with all that patches treat in their own ways: lists that are merged by a key or two, sets, maps,
// lists that are one value, defaults.
var patchable = []struct {
	gvk  schema.GroupVersionKind
	json string
}{
	{schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, `{"metadata":{"name":"a","namespace":"default","finalizers":["x/y","x/z"]},"data":{"k":"v"},"binaryData":{"b":"AA=="}}`},
	{schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, `{"metadata":{"name":"a","namespace":"default","labels":{"a":"b"},"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"o","uid":"u"}]},
		"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"X","value":"1"}],"ports":[{"containerPort":80},{"containerPort":80,"protocol":"UDP"}]},{"name":"d","image":"j"}],
		"tolerations":[{"key":"k","operator":"Exists"}],"volumes":[{"name":"v","emptyDir":{}}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`},
	{schema.GroupVersionKind{Version: "v1", Kind: "Service"}, `{"metadata":{"name":"a","namespace":"default"},"spec":{"ports":[{"name":"http","port":80},{"name":"dns","port":53,"protocol":"UDP"}],"selector":{"a":"b"}}}`},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, `{"metadata":{"name":"a","namespace":"default"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
		"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`},
	{schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "HorizontalPodAutoscaler"}, `{"metadata":{"name":"a","namespace":"default"},"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"a"}}}`},
}

// patchSeeds are patches, each for all objects.
var patchSeeds = map[types.PatchType][]string{
	types.JSONPatchType: {
		`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}},{"op":"test","path":"/metadata/name","value":"a"}]`,
		`[{"op":"remove","path":"/spec"},{"op":"copy","from":"/metadata","path":"/spec"}]`, `[{"op":"replace","path":"","value":null}]`, `[{"op":"move","from":"/spec","path":"/spec/x"}]`,
		`[{"op":"add","path":"/spec/containers/-1","value":{}}]`, `[{}]`, `[null]`, `null`,
		`[{"op":"add","path":"/spec/containers/-","value":{"name":"e","image":"k"}},{"op":"remove","path":"/spec/containers/0"}]`,
	},
	types.MergePatchType: {
		`{"metadata":{"labels":{"a":null,"c":"d"},"managedFields":[{}]}}`, `{"spec":null}`, `{"metadata":null}`, `{"data":{"k":null,"l":"m"}}`, `null`, `[]`, `{"kind":"Pod","apiVersion":"v1"}`,
		`{"spec":{"replicas":5,"template":{"spec":{"containers":[{"name":"c"}]}}}}`, `{"status":{"conditions":null}}`, `{"unknown":{"a":1},"data":{"k":7}}`, `{"metadata":{"name":"b"}}`,
	},
	types.StrategicMergePatchType: {
		`{"spec":{"containers":[{"name":"c","image":"new"},{"$patch":"delete","name":"d"}]}}`, `{"$patch":"replace","metadata":{"name":"a"}}`, `{"$patch":"delete"}`,
		`{"spec":{"$setElementOrder/containers":[{"name":"d"},{"name":"c"}],"containers":[{"name":"c","$deleteFromPrimitiveList/args":["x"]}]}}`,
		`{"spec":{"$retainKeys":["replicas"],"ports":[{"port":80,"$patch":"merge"}]}}`, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["x/y"],"finalizers":["q/r"]}}`,
		`{"spec":{"containers":[{"image":"no key"}]}}`, `{"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/"}}]}}`, `{"spec":{"ports":"none"}}`,
	},
	types.ApplyYAMLPatchType: {
		`{metadata: {name: a, labels: {c: d}}}`, ":", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"w"}}`,
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 7, template: {spec: {containers: [{name: c, image: k}, {name: c}]}}}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a, managedFields: [{}]}\nspec: {containers: [{name: e, image: x, ports: [{containerPort: 80}, {containerPort: 80}]}]}\n",
		`&a [*a]`, `null`, `x: &a {y: 1}` + "\nz: *a\n", "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {maxReplicas: 9}\n",
	},
}

var patchKinds = []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType}

// FuzzPatches changes real objects by any patch. Nothing may panic, and the object that is there stays as it is. What a patch makes when it is
// tried on the parts that it names alone is what it makes of the whole. And what comes out valid can be stored and shown.
func FuzzPatches(f *testing.F) {
	b := newBench(f)
	for object := range patchable {
		for kind, name := range patchKinds {
			for _, patch := range patchSeeds[name] {
				f.Add(uint8(object), uint8(kind), []byte(patch))
			}
		}
	}
	f.Fuzz(func(t *testing.T, object, kind uint8, body []byte) {
		c, old := b.patchable(t, int(object)%len(patchable))
		before := old.DeepCopyObject()
		o := &metav1.PatchOptions{FieldValidation: metav1.FieldValidationWarn}
		next, err := b.tryPatch(t, c, o, patchKinds[int(kind)%len(patchKinds)], body, old)
		if !apiequality.Semantic.DeepEqual(before, old) {
			t.Fatal("a patch has changed the object that is there")
		}
		if err != nil {
			if !own500(err, patchKinds[int(kind)%len(patchKinds)]) {
				requireClientsFault(t, err)
			}
			return
		}
		if r := c.t.row; r.PrepareUpdate != nil {
			r.PrepareUpdate(next, old)
		}
		if len(c.t.row.ValidateUpdate(next, old)) > 0 {
			return
		}
		b.fields.updated(c.t, "", next, old, "fuzz")
		value, err := c.t.row.EncodeStorage(next)
		if err != nil {
			t.Fatal(err)
		}
		back, err := c.t.row.DecodeStorage(value, 8)
		if err != nil {
			t.Fatal(err)
		}
		b.use(t, c, back)
	})
}

// own500 tells whether err is one for which upstream takes the blame: a body that is no configuration of the kind, and directives of a
// strategic patch that do not fit.
func own500(err error, kind types.PatchType) bool {
	return strings.Contains(err.Error(), "failed to create typed patch object") ||
		kind == types.StrategicMergePatchType && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown
}

// patchable is one of the objects as it is stored.
func (b *bench) patchable(t *testing.T, i int) (*call, resource.Object) {
	p := patchable[i]
	row, ver, ok := b.kinds.table.ByKind(p.gvk)
	if !ok {
		t.Fatalf("no %v", p.gvk)
	}
	c := b.call(row, ver, "patch", "a")
	obj := ver.New()
	if err := kjson.UnmarshalCaseSensitivePreserveInts([]byte(p.json), obj); err != nil {
		t.Fatal(err)
	}
	obj, err := toStorage(c.t, obj)
	if err != nil {
		t.Fatal(err)
	}
	b.fields.created(c.t, obj, "first")
	obj.SetResourceVersion("7")
	return c, obj
}

func (b *bench) tryPatch(t *testing.T, c *call, o *metav1.PatchOptions, kind types.PatchType, body []byte, old resource.Object) (resource.Object, error) {
	if kind == types.ApplyYAMLPatchType {
		want, err := readApplied(c, o, body)
		if err != nil {
			return nil, err
		}
		return b.applied(c, old.DeepCopyObject().(resource.Object), want, writeOptions{manager: "fuzz", applied: true}, true)
	}
	p, err := patcher(kind, body)
	if err != nil {
		return nil, err
	}
	next, err := b.patched(c, o, p, old)
	whole, wholeErr := b.patched(c, o, patchFunc{do: p.do, showsObject: p.showsObject}, old)
	if (err == nil) != (wholeErr == nil) || err == nil && !apiequality.Semantic.DeepEqual(next, whole) {
		t.Fatalf("%s made of its parts\n%+v, %v\nand of the whole\n%+v, %v", body, next, err, whole, wholeErr)
	}
	return next, err
}
