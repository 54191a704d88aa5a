package aggregation

import (
	"cmp"
	"slices"

	"bonsai/pkg/apiserver/discovery"
	"bonsai/pkg/resource"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// The label that says who keeps an APIService, and since when.
const (
	managedLabel = "kube-aggregator.kubernetes.io/automanaged"
	atStart      = "onstart" // for a group that is built in: made when the server starts
	always       = "true"    // for a custom kind's: made and deleted with it
)

const customPriority = 1000

// versionPriorities are those that do not follow from the version's name.
var versionPriorities = map[schema.GroupVersion]int32{
	{Version: "v1"}: 1, {Group: "autoscaling", Version: "v2"}: 30, {Group: "flowcontrol.apiserver.k8s.io", Version: "v1"}: 21,
	{Group: "resource.k8s.io", Version: "v1"}: 21,
}

// Action is one thing to be done to an APIService, with its reason. Exactly one of the verbs holds.
type Action struct {
	Create, Update, Delete *apiregistrationv1.APIService
	Reason                 string
}

// Served is a group and version that this server serves, built in or by custom resource definitions.
type Served struct {
	schema.GroupVersion
	Custom bool
}

// ServedBy lists what rows serve, in order. Aggregation's own group is not in it: it cannot be aggregated.
func ServedBy(rows []*resource.Row, custom func(*resource.Row) bool) []Served {
	seen := map[schema.GroupVersion]bool{}
	var out []Served
	for _, r := range rows {
		for _, v := range r.Versions {
			if !seen[v.GroupVersion] && v.Group != apiregistrationv1.GroupName {
				seen[v.GroupVersion] = true
				out = append(out, Served{v.GroupVersion, custom(r)})
			}
		}
	}
	slices.SortFunc(out, func(a, b Served) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), -version.CompareKubeAwareVersionStrings(a.Version, b.Version))
	})
	return out
}

// PlanLocal brings the APIServices of what is served here in line. One whose label was taken off is somebody's own, and left alone.
func PlanLocal(have []*apiregistrationv1.APIService, served []Served) (out []Action) {
	known, wanted := map[string]*apiregistrationv1.APIService{}, map[string]bool{}
	for _, a := range have {
		known[a.Name] = a
	}
	for _, s := range served {
		want := local(s)
		wanted[want.Name] = true
		cur, ok := known[want.Name]
		switch {
		case !ok:
			out = append(out, Action{Create: want, Reason: want.Name + " is served here and has no APIService"})
		case cur.Labels[managedLabel] == "":
		case cur.Labels[managedLabel] != want.Labels[managedLabel] || !sameSpec(cur, want):
			next := cur.DeepCopy()
			next.Labels[managedLabel], next.Spec = want.Labels[managedLabel], want.Spec
			out = append(out, Action{Update: next, Reason: want.Name + " is served here, and its APIService says otherwise"})
		}
	}
	for _, a := range have {
		if a.Labels[managedLabel] != "" && !wanted[a.Name] {
			out = append(out, Action{Delete: a, Reason: a.Name + " is not served here any longer"})
		}
	}
	return out
}

func sameSpec(a, b *apiregistrationv1.APIService) bool {
	return a.Spec.Service == nil && a.Spec.Group == b.Spec.Group && a.Spec.Version == b.Spec.Version &&
		a.Spec.GroupPriorityMinimum == b.Spec.GroupPriorityMinimum && a.Spec.VersionPriority == b.Spec.VersionPriority
}

// local is the APIService of what is served here.
func local(s Served) *apiregistrationv1.APIService {
	a := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: s.Version + "." + s.Group, Labels: map[string]string{managedLabel: atStart}},
		Spec: apiregistrationv1.APIServiceSpec{Group: s.Group, Version: s.Version,
			GroupPriorityMinimum: customPriority, VersionPriority: 100},
	}
	if s.Custom {
		a.Labels[managedLabel] = always
		return a
	}
	if p, ok := discovery.Priorities[s.Group]; ok {
		a.Spec.GroupPriorityMinimum = int32(p)
	}
	a.Spec.VersionPriority = versionPriority(s.GroupVersion)
	return a
}

// Owners are the managed fields of a local APIService as one that manager has made: they are always the same, and to find them out takes
// the schema of the kind, which otherwise nobody needs.
func Owners(a *apiregistrationv1.APIService, manager string, now metav1.Time) []metav1.ManagedFieldsEntry {
	group := `"f:group":{},`
	if a.Spec.Group == "" {
		group = ""
	}
	fields := `{"f:metadata":{"f:labels":{".":{},"f:` + managedLabel + `":{}}},"f:spec":{` + group +
		`"f:groupPriorityMinimum":{},"f:version":{},"f:versionPriority":{}}}`
	return []metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &now,
		APIVersion: apiregistrationv1.SchemeGroupVersion.String(), FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}}
}

// versionPriority prefers stable versions to betas, and these to alphas.
func versionPriority(gv schema.GroupVersion) int32 {
	if p, ok := versionPriorities[gv]; ok {
		return p
	}
	switch {
	case version.CompareKubeAwareVersionStrings(gv.Version, "v1") >= 0:
		return 15
	case version.CompareKubeAwareVersionStrings(gv.Version, "v1beta1") >= 0:
		return 12
	}
	return 9
}
