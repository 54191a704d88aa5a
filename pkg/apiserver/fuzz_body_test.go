package apiserver

import (
	"bytes"
	"math/rand"
	"testing"
	"time"

	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// FuzzBodies creates an object of any kind from any body in each encoding. Nothing may panic; and what is valid can be stored, read again,
// and shown.
func FuzzBodies(f *testing.F) {
	b := newBench(f)
	fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), scheme.Codecs).MaxDepth(8)
	for kind, row := range b.kinds.table.Rows() {
		for version := range row.Versions {
			ver := &row.Versions[version]
			gvk := ver.WithKind(row.Kind)
			filled := ver.New()
			fill.Fill(filled)
			for _, obj := range []resource.Object{ver.New(), filled} {
				json, err := resource.EncodeJSON(gvk, obj)
				if err != nil {
					f.Fatal(err)
				}
				text, err := yaml.JSONToYAML(json)
				if err != nil {
					f.Fatal(err)
				}
				proto, err := resource.EncodeProtobuf(gvk, obj)
				if err != nil {
					f.Fatal(err)
				}
				for m, body := range [][]byte{mediaJSON: json, mediaYAML: text, mediaProtobuf: proto} {
					f.Add(uint8(kind), uint8(version), uint8(m), body)
				}
			}
		}
	}
	for _, body := range []string{`{"metadata":null,"spec":null}`, `{"spec":{"containers":[null,{}]}}`, `[]`, `{"kind":"Pod","apiVersion":"v1/2/3"}`, `{"spec":{"template":{"spec":{"volumes":[{"emptyDir":{}},null]}}}}`} {
		for kind, row := range b.kinds.table.Rows() {
			for version := range row.Versions {
				f.Add(uint8(kind), uint8(version), uint8(mediaJSON), []byte(body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind, version, encoding uint8, body []byte) {
		row, ver := b.pick(kind, version)
		c := b.call(row, ver, "create", "")
		m := media(encoding) % (mediaProtobuf + 1)
		if m == mediaJSON {
			requireSameReading(t, ver, body)
		}
		obj := ver.New()
		strict, got, err := unmarshal(m, body, obj, true)
		if err != nil {
			_ = undecodable(err, row.Kind, got, body)
			return
		}
		if _, err := checkType(got, c.t.gvk()); err != nil {
			return
		}
		if judgeStrict(c, strict, metav1.FieldValidationWarn, row.Kind, got) != nil {
			t.Fatal("a warning was an error")
		}
		if stored, err := toStorage(c.t, obj); err == nil {
			b.create(t, c, stored)
		}
	})
}

// requireSameReading compares the quick reader, when it finds no faults, with the one that knows upstream's words for them.
func requireSameReading(t *testing.T, ver *resource.Version, body []byte) {
	quick, slow := ver.New(), ver.New()
	if len(body) == 0 || !faultless(body, quick) {
		return
	}
	strict, err := kjson.UnmarshalStrict(body, slow)
	if err != nil || len(strict) > 0 {
		t.Fatalf("%s has faults after all: %v %v", body, err, strict)
	}
	if !apiequality.Semantic.DeepEqual(quick, slow) {
		t.Fatalf("%s is\n%+v\nand\n%+v", body, quick, slow)
	}
}

// create does with an object what a create does with it, except to commit it, and then what reads and writes of it do.
func (b *bench) create(t *testing.T, c *call, obj resource.Object) {
	row := c.t.row
	b.fields.created(c.t, obj, "fuzz")
	if row.PrepareCreate != nil {
		row.PrepareCreate(obj)
	}
	if row.Sign != nil {
		row.Sign(obj, resource.Signature{Now: metav1.Unix(7, 0), User: "fuzz"})
	}
	if row.Validate != nil && len(row.Validate(obj)) > 0 {
		return
	}
	value, err := row.EncodeStorage(obj)
	if err != nil {
		t.Fatalf("what is valid cannot be stored: %v", err)
	}
	back, err := row.DecodeStorage(value, 7)
	if err != nil {
		t.Fatalf("what was stored cannot be read: %v", err)
	}
	again, err := row.EncodeStorage(back)
	if err != nil || row.Restore == nil && !bytes.Equal(value, again) {
		t.Fatalf("what was read is not what was stored: %q, %q, %v", value, again, err)
	}
	b.use(t, c, back)
}

// use does with an object what reads and writes do with one that is stored.
func (b *bench) use(t *testing.T, c *call, obj resource.Object) {
	row := c.t.row
	old := obj.DeepCopyObject().(resource.Object)
	row.FieldSet(obj)
	if row.Warnings != nil {
		row.Warnings(obj, nil)
	}
	if row.Cells != nil {
		row.Cells(obj, time.Unix(7, 0))
	}
	if row.RowConditions != nil {
		row.RowConditions(obj)
	}
	if row.Grace != nil {
		row.Grace(obj, nil)
	}
	if row.Scale != nil {
		row.Scale.Get(obj)
	}
	for i := range row.Versions {
		shown, err := fromStorage(b.call(row, &row.Versions[i], "get", obj.GetName()).t, obj.DeepCopyObject().(resource.Object))
		if err != nil {
			t.Fatalf("what is stored cannot be shown: %v", err)
		}
		if _, err := resource.EncodeJSON(row.Versions[i].WithKind(row.Kind), shown); err != nil {
			t.Fatalf("what is stored cannot be shown in JSON: %v", err)
		}
	}
	if !apiequality.Semantic.DeepEqual(obj, old) {
		t.Fatal("looking at an object has changed it")
	}
	if row.PrepareUpdate != nil {
		row.PrepareUpdate(obj, old)
	}
	if errs := row.ValidateUpdate(obj, old); len(errs) > 0 {
		t.Fatalf("what was let in cannot stay as it is: %v", errs)
	}
	if row.PrepareDelete != nil {
		row.PrepareDelete(obj)
	}
}
