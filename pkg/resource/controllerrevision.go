package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// controllerRevisions are what StatefulSets and DaemonSets keep of their earlier templates.
func controllerRevisions() *Row {
	doc := appsv1.ControllerRevision{}.SwaggerDoc()
	return Row{
		Resource: "controllerrevisions", Singular: "controllerrevision", Kind: "ControllerRevision",
		Namespaced: true,
		Versions:   []Version{servedAs[appsv1.ControllerRevision, appsv1.ControllerRevisionList](appsv1.SchemeGroupVersion)},
		Prefix:     "controllerrevisions",
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Controller", "Controller of the object"),
			column("Revision", doc["revision"]),
			ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*appsv1.ControllerRevision]{
		Validate:       validateControllerRevision,
		ValidateUpdate: validateControllerRevisionUpdate,
		Cells: func(r *appsv1.ControllerRevision, now time.Time) []any {
			return []any{r.Name, controllerText(r), r.Revision, age(r, now)}
		},
	}))
}

// controllerText names the controller of an object as KIND.GROUP/NAME.
func controllerText(obj metav1.Object) string {
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return "<none>"
	}
	kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
	return strings.ToLower(kind.String()) + "/" + owner.Name
}

func validateControllerRevision(r *appsv1.ControllerRevision) field.ErrorList {
	return append(validateRevision(r), revisionData(r.Data.Raw, newPlace("data"))...)
}

func validateRevision(r *appsv1.ControllerRevision) field.ErrorList {
	return append(validateMeta(r, true, subdomainName), nonNegative(r.Revision, newPlace("revision"))...)
}

// revisionData is a JSON object; only a new revision must hold one.
func revisionData(data []byte, path *place) field.ErrorList {
	var v any
	if data == nil {
		return field.ErrorList{requiredAt(path, "data is mandatory")}
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return field.ErrorList{invalidAt(path, "<value omitted>", fmt.Sprintf("error parsing data: %v", err))}
	}
	_, isObject := v.(map[string]any)
	return join(
		when(v == nil, requiredAt(path, "data is mandatory")),
		when(v != nil && !isObject, requiredAt(path, "data must be a valid JSON object")),
	)
}

func validateControllerRevisionUpdate(next, old *appsv1.ControllerRevision) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		validateRevision(next),
		immutable(next.Data, old.Data, newPlace("data")),
	)
}
