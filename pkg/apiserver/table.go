package apiserver

import (
	"maps"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// tableless are the resources and subresources that upstream cannot show as a Table: who wants nothing else gets 406. They are those whose
// answer is no stored object, and some subresources of which nobody thought.
var tableless = map[string]bool{
	"selfsubjectreviews/": true, "tokenreviews/": true, "serviceaccounts/token": true,
	"subjectaccessreviews/": true, "localsubjectaccessreviews/": true, "selfsubjectaccessreviews/": true, "selfsubjectrulesreviews/": true,
	"bindings/": true, "pods/binding": true, "pods/eviction": true, "pods/ephemeralcontainers": true, "pods/resize": true,
	"namespaces/finalize": true, "certificatesigningrequests/approval": true,
	"resourceclaims/status": true, "customresourcedefinitions/status": true, "apiservices/status": true,
}

// shaped turns one object into the shape that the client wants.
func (s *Server) shaped(c *call, obj resource.Object) (runtime.Object, schema.GroupVersionKind, error) {
	switch c.f.shape {
	case asTable:
		t, err := newTabler(c)
		if err != nil {
			return nil, schema.GroupVersionKind{}, err
		}
		table, err := t.table(metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()}, s.now(), obj)
		return table, c.f.as.WithKind("Table"), err
	case partial:
		return partialOf(c.t.row, obj), c.f.as.WithKind("PartialObjectMetadata"), nil
	}
	return obj, c.t.gvk(), nil
}

// shapedList turns a page into a Table or a list of metadata.
func (s *Server) shapedList(c *call, page *store.Page, m metav1.ListMeta) (runtime.Object, schema.GroupVersionKind, error) {
	none := schema.GroupVersionKind{}
	objs := make([]resource.Object, len(page.Objects))
	for i, o := range page.Objects {
		obj, err := decodeFor(c.t, o)
		if err != nil {
			return nil, none, err
		}
		objs[i] = obj
	}
	if c.f.shape == asTable {
		t, err := newTabler(c)
		if err != nil {
			return nil, none, err
		}
		table, err := t.table(m, s.now(), objs...)
		if err == nil && c.t.row.Together != nil {
			c.t.row.Together(objs, table.Rows)
		}
		return table, c.f.as.WithKind("Table"), err
	}
	list := &metav1.PartialObjectMetadataList{ListMeta: m}
	if len(objs) > 0 { // where there is none, there is no list of them either
		list.Items = make([]metav1.PartialObjectMetadata, len(objs))
	}
	for i, obj := range objs {
		list.Items[i] = *partialOf(c.t.row, obj)
		list.Items[i].SetGroupVersionKind(c.f.as.WithKind("PartialObjectMetadata"))
	}
	return list, c.f.as.WithKind("PartialObjectMetadataList"), nil
}

func partialOf(row *resource.Row, obj resource.Object) *metav1.PartialObjectMetadata {
	p := meta.AsPartialObjectMetadata(obj)
	if _, there := p.Annotations[row.HiddenAnnotation]; there && row.HiddenAnnotation != "" {
		if p.Annotations = maps.Clone(p.Annotations); len(p.Annotations) == 1 {
			p.Annotations = nil
		}
		delete(p.Annotations, row.HiddenAnnotation)
	}
	return p
}

// tabler makes the tables that kubectl get prints, one or, in a watch, one for each event.
type tabler struct {
	row     *resource.Row
	ver     *resource.Version // of the objects
	include metav1.IncludeObjectPolicy
	as      schema.GroupVersion // of the table, and of the metadata in it
	// headed is set once the columns have been sent; the later tables of a watch leave them out.
	headed bool
}

func newTabler(c *call) (*tabler, error) {
	o := &metav1.TableOptions{}
	q := c.r.URL.Query()
	if err := metav1.Convert_url_Values_To_v1_TableOptions(&q, o, nil); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if errs := validation.ValidateTableOptions(o); len(errs) > 0 {
		return nil, apierrors.NewBadRequest("Unable to convert to Table as requested: " + errs.ToAggregate().Error())
	}
	return &tabler{row: c.t.row, ver: c.t.ver, include: o.IncludeObject, as: c.f.as}, nil
}

// table makes a table of objs.
func (t *tabler) table(m metav1.ListMeta, now time.Time, objs ...resource.Object) (*metav1.Table, error) {
	table := &metav1.Table{ListMeta: m, Rows: make([]metav1.TableRow, len(objs))}
	if !t.headed {
		table.ColumnDefinitions = t.columns()
		t.headed = true
	}
	for i, obj := range objs {
		var err error
		if table.Rows[i], err = t.line(obj, now); err != nil {
			return nil, err
		}
	}
	return table, nil
}

func (t *tabler) columns() []metav1.TableColumnDefinition {
	if t.row.Cells == nil {
		return defaultColumns
	}
	return t.row.Columns
}

// line is one row. The row of the table of kinds reads the storage version; beside the cells is the object as
// the client's version has it, or no more than the metadata as it is stored.
func (t *tabler) line(obj resource.Object, now time.Time) (line metav1.TableRow, err error) {
	stored := obj
	if t.ver.ToStorage != nil {
		if stored, err = t.ver.ToStorage(obj); err != nil {
			return line, err
		}
	}
	if t.row.Cells != nil {
		line.Cells = t.row.Cells(stored, now)
	} else {
		line.Cells = []any{obj.GetName(), obj.GetCreationTimestamp().UTC().Format(time.RFC3339)}
	}
	if t.row.RowConditions != nil {
		line.Conditions = t.row.RowConditions(stored)
	}
	switch t.include {
	case metav1.IncludeNone:
	case metav1.IncludeObject:
		line.Object.Object = obj
	default:
		p := partialOf(t.row, stored)
		p.SetGroupVersionKind(t.as.WithKind("PartialObjectMetadata"))
		line.Object.Object = p
	}
	if line.Object.Object != nil {
		line.Object.Raw = compactJSON(line.Object.Object)
	}
	return line, nil
}

// defaultColumns are those of kinds whose row has none.
var defaultColumns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]},
	{Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]},
}
