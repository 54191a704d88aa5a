package resource

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Some messages show a value as it lies in upstream's memory: with the names that its fields have in Go, and with those that are
// empty. That of the API's own groups only; what is common to all groups has its JSON names there too.

// bare is v as such messages show it.
func bare(v any) json.Marshaler { return bareValue{v} }

// bareImmutable is immutable with such a message.
func bareImmutable(next, old any, path *place) field.ErrorList {
	return when(!same(next, old), invalidAt(path, bare(next), apivalidation.FieldImmutableErrorMsg))
}

type bareValue struct{ v any }

func (b bareValue) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	err := writeBare(&out, reflect.ValueOf(b.v))
	return out.Bytes(), err
}

func writeBare(out *bytes.Buffer, v reflect.Value) error {
	switch {
	case !v.IsValid():
		out.WriteString("null")
		return nil
	case (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && !v.IsNil():
		return writeBare(out, v.Elem())
	case v.Kind() == reflect.Struct && ofGroup(v.Type()):
		return writeBareStruct(out, v)
	case v.Kind() == reflect.Slice && !v.IsNil() && v.Type().Elem().Kind() != reflect.Uint8:
		return writeBareList(out, v)
	}
	text, err := json.Marshal(v.Interface())
	out.Write(text)
	return err
}

// ofGroup says that t is declared by one of the groups, and does not say itself what it looks like.
func ofGroup(t reflect.Type) bool {
	return strings.HasPrefix(t.PkgPath(), "k8s.io/api/") || strings.HasPrefix(t.PkgPath(), "bonsai/") || t.Name() == ""
}

func writeBareList(out *bytes.Buffer, v reflect.Value) error {
	out.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeBare(out, v.Index(i)); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

func writeBareStruct(out *bytes.Buffer, v reflect.Value) error {
	var fields []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		var text bytes.Buffer
		if err := writeBare(&text, v.Field(i)); err != nil {
			return err
		}
		switch inner := strings.TrimSuffix(strings.TrimPrefix(text.String(), "{"), "}"); {
		case !f.Anonymous:
			fields = append(fields, `"`+f.Name+`":`+text.String())
		case inner != "" && f.Name != "TypeMeta":
			fields = append(fields, inner)
		}
	}
	out.WriteString("{" + strings.Join(fields, ",") + "}")
	return nil
}
