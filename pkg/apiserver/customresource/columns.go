package customresource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"bonsai/pkg/resource"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/util/jsonpath"
)

var metaDoc = metav1.ObjectMeta{}.SwaggerDoc()

// ageColumn is that of versions that have none of their own.
var ageColumn = apiextensionsv1.CustomResourceColumnDefinition{
	Name: "Age", Type: "date", Description: metaDoc["creationTimestamp"], JSONPath: ".metadata.creationTimestamp",
}

// column reads one cell of the table that kubectl get prints.
type column struct {
	kind string
	path *path
}

// path is a JSONPath. The library's keeps its place in itself while it searches, so that one search goes at a time.
type path struct {
	sync.Mutex
	*jsonpath.JSONPath
}

func parsePath(text string) (*path, error) {
	p := &path{JSONPath: jsonpath.New(text).AllowMissingKeys(true)}
	return p, p.Parse("{" + text + "}")
}

// first is the first thing that the path leads to, which may be a null, if it leads anywhere.
func (p *path) first(content map[string]any) (value any, leads bool) {
	p.Lock()
	defer p.Unlock()
	found, err := p.FindResults(content)
	if err != nil || len(found) == 0 || len(found[0]) == 0 {
		return nil, false
	}
	return found[0][0].Interface(), true
}

// text is a value as the library prints it; nil if it cannot.
func (p *path) text(value any) any {
	p.Lock()
	defer p.Unlock()
	var b bytes.Buffer
	if p.PrintResults(&b, []reflect.Value{reflect.ValueOf(value)}) != nil {
		return nil
	}
	return b.String()
}

// columns returns the heads of the table and what fills its cells. A column with a path that cannot be read ends the table there.
func (v *version) columns() ([]metav1.TableColumnDefinition, func(resource.Object, time.Time) []any) {
	heads := []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name", Description: metaDoc["name"]}}
	wanted := v.AdditionalPrinterColumns
	if len(wanted) == 0 {
		wanted = []apiextensionsv1.CustomResourceColumnDefinition{ageColumn}
	}
	var cells []column
	for _, c := range wanted {
		path, err := parsePath(c.JSONPath)
		if err != nil {
			break
		}
		head := metav1.TableColumnDefinition{Name: c.Name, Type: c.Type, Format: c.Format, Description: c.Description, Priority: c.Priority}
		if head.Description == "" {
			head.Description = "Custom resource definition column (in JSONPath format): " + c.JSONPath
		}
		heads, cells = append(heads, head), append(cells, column{c.Type, path})
	}
	return heads, func(obj resource.Object, now time.Time) []any {
		out := []any{obj.GetName()}
		for _, c := range cells {
			out = append(out, c.cell(resource.AsCustom(obj).Object, now))
		}
		return out
	}
}

// cell is the first thing that the path leads to, as the column's type shows it; nil if there is none.
func (c column) cell(content map[string]any, now time.Time) any {
	value, leads := c.path.first(content)
	switch c.kind {
	case "string":
		if leads {
			return c.path.text(value)
		}
	case "integer", "number":
		return number(c.kind, value)
	case "boolean":
		if b, ok := value.(bool); ok {
			return b
		}
	case "date":
		if text, ok := value.(string); ok {
			return since(text, now)
		}
	}
	return nil
}

func number(kind string, value any) any {
	var f float64
	switch n := value.(type) {
	case int64:
		if kind == "integer" {
			return n
		}
		f = float64(n)
	case float64:
		f = n
	case json.Number:
		var err error
		if f, err = n.Float64(); err != nil {
			return nil
		}
	default:
		return nil
	}
	if kind == "integer" {
		return int64(f)
	}
	return f
}

// since is how long ago a time was, in kubectl's words.
func since(text string, now time.Time) string {
	var t metav1.Time
	switch err := t.UnmarshalQueryParameter(text); {
	case err != nil:
		return "<invalid>"
	case t.IsZero():
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// selectable is a field that a version lets clients select objects by.
type selectable struct {
	name string
	path *path // nil if it cannot be read
}

func newSelectable(text string) selectable {
	p, err := parsePath(text)
	if err != nil {
		p = nil
	}
	return selectable{name: strings.TrimPrefix(text, "."), path: p}
}

// value is what selectors compare with; empty if the object has no such field.
func (s selectable) value(content map[string]any) string {
	if s.path == nil {
		return ""
	}
	if v, _ := s.path.first(content); v != nil {
		return fmt.Sprint(v)
	}
	return ""
}
