package apiserver

import (
	"fmt"
	"net/url"
	"strings"

	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	listvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Options are what the query says. Each reader decodes, checks and refuses like upstream; a request without a query,
// the common case, costs nothing.

func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// refuseExport refuses what a get could ask for until v1.14.
func refuseExport(c *call) error {
	if c.t.verb != "get" || !strings.Contains(c.r.URL.RawQuery, "export") || !isTrue(c.r.URL.Query()["export"]) {
		return nil
	}
	return apierrors.NewBadRequest("the export parameter, deprecated since v1.14, is no longer supported")
}

func createOptions(c *call) (*metav1.CreateOptions, error) {
	o := &metav1.CreateOptions{}
	if c.r.URL.RawQuery != "" {
		q := c.r.URL.Query()
		if err := metav1.Convert_url_Values_To_v1_CreateOptions(&q, o, nil); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	return o, invalidOptions("CreateOptions", validation.ValidateCreateOptions(o))
}

func updateOptions(c *call) (*metav1.UpdateOptions, error) {
	o := &metav1.UpdateOptions{}
	if c.r.URL.RawQuery != "" {
		q := c.r.URL.Query()
		if err := metav1.Convert_url_Values_To_v1_UpdateOptions(&q, o, nil); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	return o, invalidOptions("UpdateOptions", validation.ValidateUpdateOptions(o))
}

func patchOptions(c *call, kind types.PatchType) (*metav1.PatchOptions, error) {
	o := &metav1.PatchOptions{}
	if c.r.URL.RawQuery != "" {
		q := c.r.URL.Query()
		if err := metav1.Convert_url_Values_To_v1_PatchOptions(&q, o, nil); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	return o, invalidOptions("PatchOptions", validation.ValidatePatchOptions(o, kind))
}

// deleteOptions come in the body or, if there is none, in the query.
func (s *Server) deleteOptions(c *call) (*metav1.DeleteOptions, error) {
	o := &metav1.DeleteOptions{}
	if c.r.ContentLength != 0 {
		if err := s.readDeleteOptions(c, o); err != nil {
			return nil, err
		}
	}
	if c.r.URL.RawQuery != "" && o.Kind == "" {
		q := c.r.URL.Query()
		if err := metav1.Convert_url_Values_To_v1_DeleteOptions(&q, o, nil); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	if w := c.t.row.OrphanWarning; w != "" && o.PropagationPolicy == nil && o.OrphanDependents == nil {
		c.warn(w)
	}
	if err := invalidOptions("DeleteOptions", validation.ValidateDeleteOptions(o)); err != nil {
		return o, err
	}
	return o, judgeUnsafe(c.t, o)
}

// readDeleteOptions reads them from the body. Clients send them in the version of the object that they delete.
func (s *Server) readDeleteOptions(c *call, o *metav1.DeleteOptions) error {
	m, err := contentType(c.r)
	if err != nil {
		return err
	}
	body, err := readBody(c)
	if err != nil || len(body) == 0 {
		return err
	}
	_, got, err := unmarshal(m, body, o, false)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if got.Kind != "" && got.Kind != "DeleteOptions" {
		expected := c.t.gvk()
		if c.t.verb == "deletecollection" {
			expected = metav1.SchemeGroupVersion.WithKind("DeleteOptions")
		}
		return apierrors.NewBadRequest(notRegistered(completed(got, expected), schemeOfOptions).Error())
	}
	o.Kind = "DeleteOptions"
	c.recordRequest(internalDeleteOptions, o)
	return nil
}

// judgeUnsafe refuses to delete in spite of what cannot be read: here no object is kept that could not be.
func judgeUnsafe(t *target, o *metav1.DeleteOptions) error {
	if o.IgnoreStoreReadErrorWithClusterBreakingPotential == nil || !*o.IgnoreStoreReadErrorWithClusterBreakingPotential {
		return nil
	}
	if t.verb == "deletecollection" {
		return invalidOptions("DeleteOptions", field.ErrorList{field.Invalid(field.NewPath("ignoreStoreReadErrorWithClusterBreakingPotential"),
			true, "is not allowed with DELETECOLLECTION, try again after removing the option")})
	}
	return apierrors.NewConflict(t.gr(), t.name, fmt.Errorf("StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, "+
		"AdditionalErrorMsg: unsafe deletion is not allowed because the object is decodable from storage", t.key()))
}

// listing is what a list, watch or deletecollection asks for.
type listing struct {
	metav1.ListOptions
	labels labels.Selector
	fields fields.Selector
	// prefix and term narrow what the store looks at; match is what is left to try.
	prefix string
	term   *store.Term
	match  func(*store.Object) bool
}

// listOptions reads and checks a listing.
func listOptions(c *call) (*listing, error) {
	l := &listing{labels: labels.Everything(), fields: fields.Everything()}
	if c.r.URL.RawQuery != "" {
		q := c.r.URL.Query()
		if err := l.parse(c.t, &q); err != nil {
			return nil, err
		}
	}
	if name, ok := l.fields.RequiresExactMatch("metadata.name"); c.t.name != "" && !l.fields.Empty() && (!ok || name != c.t.name) {
		// The name of the path is the one that was authorized.
		return nil, apierrors.NewBadRequest("fieldSelector metadata.name doesn't match requested name")
	}
	l.Watch = c.t.verb == "watch"
	l.Limit = max(l.Limit, 0)
	if err := l.validate(); err != nil {
		return nil, err
	}
	if l.Watch && l.Continue != "" && (l.ResourceVersion == "" || l.ResourceVersion == "0") {
		return nil, invalidOptions("ListOptions", field.ErrorList{field.Forbidden(field.NewPath("resourceVersionMatch"),
			"resourceVersionMatch is forbidden when continue is provided")})
	}
	l.narrow(c.t)
	return l, nil
}

func (l *listing) parse(t *target, q *url.Values) error {
	if err := metav1.Convert_url_Values_To_v1_ListOptions(q, &l.ListOptions, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	var err error
	if l.labels, err = labels.Parse(l.LabelSelector); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if l.fields, err = fields.ParseSelector(l.FieldSelector); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	l.fields, err = l.fields.Transform(fieldNames(t))
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

func (l *listing) validate() error {
	errs := listvalidation.ValidateListOptions(&internalversion.ListOptions{
		Watch: l.Watch, ResourceVersion: l.ResourceVersion, ResourceVersionMatch: l.ResourceVersionMatch,
		Continue: l.Continue, SendInitialEvents: l.SendInitialEvents,
	}, true)
	return invalidOptions("ListOptions", errs)
}

// scope says in words what a listing is of.
func (l *listing) scope() string {
	text := l.prefix
	for _, s := range []string{l.LabelSelector, l.FieldSelector} {
		if s != "" {
			text += " " + s
		}
	}
	return text
}

// isNarrow tells whether the store looks up who is told of a change: of one object, or of those with one value of an indexed field.
func (l *listing) isNarrow() bool { return l.term != nil || !strings.HasSuffix(l.prefix, "/") }

// fieldNames returns what turns a selector's names of fields, as t's version has them, into those of the row, and refuses
// those that the row does not offer.
func fieldNames(t *target) fields.TransformFunc {
	known := t.row.FieldSet(t.row.StorageVersion().New())
	if t.row.Custom == nil || t.row.Namespaced {
		known["metadata.namespace"] = ""
	}
	return func(name, value string) (string, string, error) {
		if own, ok := t.ver.FieldNames[name]; ok {
			return own, value, nil
		}
		if name == "spec.host" && t.row.Resource == "pods" {
			name = "spec.nodeName" // its name before there were nodes
		}
		_, ok := known[name]
		switch {
		case ok && (t.ver.FieldNames == nil || strings.HasPrefix(name, "metadata.")):
			return name, value, nil
		case t.row.Fields == nil && t.row.Custom == nil:
			return "", "", fmt.Errorf("%q is not a known field selector: only %q, %q", name, "metadata.name", "metadata.namespace")
		}
		return "", "", fmt.Errorf("field label not supported: %s", name)
	}
}

// narrow decides where the store looks: at one key if the selector names it, at the objects with an indexed field's
// value if it names that, and else at all of the namespace.
func (l *listing) narrow(t *target) {
	l.prefix = t.row.KeyPrefix(t.namespace)
	name, named := l.fields.RequiresExactMatch("metadata.name")
	if t.name != "" && !named {
		name, named = t.name, true // the old way to watch one object: /watch/…/NAME
		l.fields = fields.AndSelectors(l.fields, fields.OneTermEqualSelector("metadata.name", name))
	}
	if named && name != "" && (t.namespace != "" || !t.row.Namespaced) {
		l.prefix = t.row.Key(t.namespace, name)
	}
	for _, f := range t.row.Indexed {
		if v, ok := l.fields.RequiresExactMatch(f); ok {
			l.term = &store.Term{Field: f, Value: v}
			break
		}
	}
	if l.labels.Empty() && l.fields.Empty() {
		return
	}
	fieldsOf := func(o *store.Object) fields.Fields { return o.Attrs.Fields }
	if t.row.Custom != nil && t.row.Fields != nil {
		fieldsOf = customFieldsOf(t.row, l.fields)
	}
	l.match = func(o *store.Object) bool {
		return l.labels.Matches(o.Attrs.Labels) && l.fields.Matches(fieldsOf(o))
	}
}
