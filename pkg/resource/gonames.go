package resource

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the API calls a field in JSON and what it is called in Go differ: hostIP, HostIP. Where a message shows a whole struct, or
// the difference between two, clients see the Go names, with every field that is not set: the message is made from the form that
// an object has inside a server. goNames is that form, written from the types that travel, whose Go names are the same.

// inGoNames is a value that messages show by its Go names.
type inGoNames struct{ value any }

// InGoNames is v as messages show it: what is made of it writes it by its Go names.
func InGoNames(v any) json.Marshaler { return inGoNames{v} }

func (g inGoNames) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := writeGo(&b, reflect.ValueOf(g.value))
	return b.Bytes(), err
}

// invalidGoAt is invalidAt for a struct of the API's own.
func invalidGoAt(p *place, value any, detail string) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.Invalid(p.path(), inGoNames{value}, detail)
}

func duplicateGoAt(p *place, value any) *field.Error {
	if p == nil {
		return somewhere
	}
	return field.Duplicate(p.path(), inGoNames{value})
}

// ownJSON tells whether v looks alike on both sides: what writes itself, and the metadata that all kinds share.
func ownJSON(t reflect.Type) bool {
	marshaler := reflect.TypeFor[json.Marshaler]()
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) || strings.Contains(t.PkgPath(), "apimachinery")
}

func writeGo(b *bytes.Buffer, v reflect.Value) error {
	switch {
	case !v.IsValid():
		b.WriteString("null")
		return nil
	case v.Kind() == reflect.Pointer && !v.IsNil():
		return writeGo(b, v.Elem())
	case ownJSON(v.Type()):
		return writePlain(b, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		b.WriteByte('{')
		err := writeGoFields(b, v, new(bool))
		b.WriteByte('}')
		return err
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return writePlain(b, v)
		}
		return writeGoItems(b, v)
	default:
		return writePlain(b, v)
	}
}

// writeGoFields writes the fields of a struct, those of the structs that it embeds among them.
func writeGoFields(b *bytes.Buffer, v reflect.Value, more *bool) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous && f.Type == reflect.TypeFor[metav1.TypeMeta]() {
			continue // inside a server an object does not say what it is
		}
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.Anonymous && name == "" {
			if err := writeGoFields(b, v.Field(i), more); err != nil {
				return err
			}
			continue
		}
		if meta, ok := v.Field(i).Interface().(metav1.ObjectMeta); ok && f.Anonymous {
			text, err := json.Marshal(meta)
			if err != nil {
				return err
			}
			if text = text[1 : len(text)-1]; len(text) > 0 { // a template's metadata is among its fields
				b.Write(text)
				*more = true
			}
			continue
		}
		if *more {
			b.WriteByte(',')
		}
		*more = true
		b.WriteString(`"` + f.Name + `":`)
		if err := writeGo(b, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func writeGoItems(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeGo(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func writePlain(b *bytes.Buffer, v reflect.Value) error {
	out, err := json.Marshal(v.Interface())
	b.Write(out)
	return err
}
