package customresource

import (
	"encoding/json"
	"testing"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/resource/definition"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "sigs.k8s.io/json"
)

// FuzzSchemas lets anybody define a kind by any schema. Most are refused; of those that are not, a kind is made, and every object is
// read, filled in, checked, shown and converted by it. Nothing of that may panic, and what was cut off once stays cut off.
func FuzzSchemas(f *testing.F) {
	for _, schema := range []string{
		`{"type":"object"}`,
		`{"type":"object","properties":{"spec":{"type":"object","required":["a"],"properties":{"a":{"type":"string","default":"x"},"b":{"x-kubernetes-int-or-string":true}}}}}`,
		`{"type":"object","x-kubernetes-preserve-unknown-fields":true}`,
		`{"type":"object","properties":{"l":{"type":"array","maxItems":3,"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","required":["k"],"properties":{"k":{"type":"string"}}}}}}`,
		`{"type":"object","properties":{"e":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true},"n":{"type":"integer","nullable":true}}}`,
		`{"type":"object","properties":{"a":{"type":"integer","x-kubernetes-validations":[{"rule":"self > 1","messageExpression":"'no'"},{"rule":"self == oldSelf"}]}}}`,
		`{"type":"object","additionalProperties":{"type":"array","items":{"type":"number","format":"double"}}}`,
		`{"type":"object","properties":{"a":{"anyOf":[{"minimum":1},{"maximum":0}],"type":"number"},"not":{"not":{"enum":["x"]},"type":"string"}}}`,
	} {
		for _, object := range []string{
			`{"apiVersion":"x.com/v1","kind":"Thing","metadata":{"name":"a"},"spec":{"a":"b","b":1,"c":null},"a":1,"l":[{"k":"a"},{"k":"a"}],"n":null,"e":{"kind":"Pod","apiVersion":"v1","metadata":{"name":1}}}`,
			`{"apiVersion":"x.com/v1","kind":"Thing","metadata":null,"spec":[1,{"a":[]}],"x":{"y":[1.5]}}`,
			`{"apiVersion":"x.com/v1","kind":"Thing","metadata":{"name":"a","labels":{"a":1},"finalizers":["x"]},"a":"1"}`,
		} {
			f.Add([]byte(schema), []byte(object), ".spec.a")
		}
	}
	f.Fuzz(func(t *testing.T, schema, object []byte, path string) {
		props := &apiextensionsv1.JSONSchemaProps{}
		if json.Unmarshal(schema, props) != nil {
			return
		}
		crd := thing(props, path)
		if len(definition.Validate(crd)) > 0 {
			return
		}
		k, err := compile(crd, crd.Spec.Names)
		if err != nil {
			t.Fatalf("a definition that was let in cannot be served: %v", err)
		}
		k.convert, k.terminating = rename{}, func() bool { return false }
		for _, r := range k.rows() {
			exercise(t, r, object)
		}
	})
}

func thing(props *apiextensionsv1.JSONSchemaProps, path string) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "things.x.com"}}
	crd.Spec.Group, crd.Spec.Scope = "x.com", apiextensionsv1.ClusterScoped
	crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Kind: "Thing"}
	for _, name := range []string{"v1", "v2"} {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name: name, Served: true, Storage: name == "v1",
			Schema:                   &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: props},
			AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{{Name: "P", Type: "string", JSONPath: path}},
			Subresources: &apiextensionsv1.CustomResourceSubresources{Scale: &apiextensionsv1.CustomResourceSubresourceScale{
				SpecReplicasPath: ".spec.a", StatusReplicasPath: ".status.a"}},
		})
	}
	definition.Default(crd)
	crd.Status.StoredVersions = []string{"v1"}
	return crd
}

// exercise does with an object what requests do.
func exercise(t *testing.T, r *resource.Row, object []byte) {
	u := &unstructured.Unstructured{}
	if kjson.UnmarshalCaseSensitivePreserveInts(object, &u.Object) != nil || u.Object == nil {
		return
	}
	u.SetGroupVersionKind(r.GVK())
	if _, err := r.Custom.Coerce(u, true); err != nil {
		return
	}
	r.Default(u)
	old := u.DeepCopy()
	r.PrepareCreate(u)
	r.Validate(u)
	r.Warnings(u, nil)
	r.Cells(u, time.Unix(0, 0))
	r.Scale.Get(u)
	value, err := r.EncodeStorage(u)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	back, err := r.DecodeStorage(value, 7)
	if err != nil {
		t.Fatalf("decode what was encoded: %v", err)
	}
	if unknown, err := r.Custom.Coerce(resource.AsCustom(back).DeepCopy(), true); err == nil && len(unknown) > 0 {
		t.Fatalf("what was read still has fields that are unknown: %v", unknown)
	}
	r.PrepareUpdate(back, old)
	r.ValidateUpdate(back, old)
	r.Scale.Set(back, 3)
	for _, models := range []func() (map[string]json.RawMessage, error){r.Custom.Models.V2, r.Custom.Models.V3} {
		if _, err := models(); err != nil {
			t.Fatalf("describe: %v", err)
		}
	}
}
