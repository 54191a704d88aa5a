package customresource

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// A definition claims names: a plural, a singular, short names, a kind, the kind of its lists. Within a group each may be one
// definition's only. Who has a name keeps it; of those that claim the same free name at once the older definition gets it. A
// definition whose names were all accepted once is established, and stays it: from then on it may only wait for
// names that it adds.

// claimed are the names that definitions of one group have.
type claimed struct{ resources, kinds map[string]bool }

func (c *claimed) add(n apiextensionsv1.CustomResourceDefinitionNames) {
	for _, r := range append([]string{n.Plural, n.Singular}, n.ShortNames...) {
		c.resources[r] = true
	}
	c.kinds[n.Kind], c.kinds[n.ListKind] = true, true
}

// planStatus returns what the status of each of the definitions is to be, by its name.
func planStatus(crds []*apiextensionsv1.CustomResourceDefinition, now time.Time) map[string]apiextensionsv1.CustomResourceDefinitionStatus {
	groups := map[string]*claimed{}
	for _, crd := range crds {
		g := groups[crd.Spec.Group]
		if g == nil {
			g = &claimed{map[string]bool{}, map[string]bool{}}
			groups[crd.Spec.Group] = g
		}
		g.add(crd.Status.AcceptedNames)
	}
	out := map[string]apiextensionsv1.CustomResourceDefinitionStatus{}
	for _, crd := range byAge(crds) {
		next := crd.DeepCopy()
		planNames(next, groups[crd.Spec.Group], now)
		planApproval(next, now)
		groups[crd.Spec.Group].add(next.Status.AcceptedNames)
		out[crd.Name] = next.Status
	}
	return out
}

func byAge(crds []*apiextensionsv1.CustomResourceDefinition) []*apiextensionsv1.CustomResourceDefinition {
	sorted := slices.Clone(crds)
	slices.SortStableFunc(sorted, func(a, b *apiextensionsv1.CustomResourceDefinition) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return sorted
}

// planNames accepts what can be accepted of crd's names, and says so in its conditions.
func planNames(crd *apiextensionsv1.CustomResourceDefinition, others *claimed, now time.Time) {
	accepted := &crd.Status.AcceptedNames
	if equality.Semantic.DeepEqual(crd.Spec.Names, *accepted) &&
		apihelpers.FindCRDCondition(crd, apiextensionsv1.Established) != nil {
		return
	}
	condition := apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.NamesAccepted,
		Status: apiextensionsv1.ConditionTrue, Reason: "NoConflicts", Message: "no conflicts found"}
	for _, c := range claims(crd.Spec.Names, accepted, others) {
		if c.err == nil {
			c.accept()
			continue
		}
		condition.Status, condition.Reason, condition.Message = apiextensionsv1.ConditionFalse, c.conflict, c.err.Error()
	}
	accepted.Categories = crd.Spec.Names.Categories
	setCondition(crd, condition, now)
	setCondition(crd, planEstablished(crd, condition.Status), now)
}

// planEstablished says whether the kind is served. It is served before this is written, so there is nothing in between.
func planEstablished(crd *apiextensionsv1.CustomResourceDefinition, names apiextensionsv1.ConditionStatus) apiextensionsv1.CustomResourceDefinitionCondition {
	old := apihelpers.FindCRDCondition(crd, apiextensionsv1.Established)
	switch {
	case names == apiextensionsv1.ConditionTrue && (old == nil || old.Status != apiextensionsv1.ConditionTrue):
		return apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue,
			Reason: "InitialNamesAccepted", Message: "the initial names have been accepted"}
	case old != nil:
		return *old
	}
	return apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionFalse,
		Reason: "NotAccepted", Message: "not all names are accepted"}
}

// claim is one name, or the short names together.
type claim struct {
	conflict string // the reason, if err says that another has it
	err      error
	accept   func()
}

// claims compares the names that are asked for with those that others have, in upstream's order: of several conflicts the last is told.
func claims(want apiextensionsv1.CustomResourceDefinitionNames, have *apiextensionsv1.CustomResourceDefinitionNames, others *claimed) []claim {
	one := func(conflict, want string, have *string, taken map[string]bool) claim {
		return claim{conflict, free(want, *have, taken), func() { *have = want }}
	}
	var short []error
	for _, s := range want.ShortNames {
		if !slices.Contains(have.ShortNames, s) {
			short = append(short, free(s, "", others.resources))
		}
	}
	return []claim{
		one("PluralConflict", want.Plural, &have.Plural, others.resources),
		one("SingularConflict", want.Singular, &have.Singular, others.resources),
		{"ShortNamesConflict", utilerrors.NewAggregate(short), func() { have.ShortNames = want.ShortNames }},
		one("KindConflict", want.Kind, &have.Kind, others.kinds),
		one("ListKindConflict", want.ListKind, &have.ListKind, others.kinds),
	}
}

func free(want, have string, taken map[string]bool) error {
	if want == have || !taken[want] {
		return nil
	}
	return fmt.Errorf("%q is already in use", want)
}

// planApproval says whether a kind in one of the community's groups was approved by it.
func planApproval(crd *apiextensionsv1.CustomResourceDefinition, now time.Time) {
	if !apihelpers.IsProtectedCommunityGroup(crd.Spec.Group) {
		return
	}
	c := apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.KubernetesAPIApprovalPolicyConformant, Status: apiextensionsv1.ConditionFalse}
	state, message := apihelpers.GetAPIApprovalState(crd.Annotations)
	switch c.Message = message; state {
	case apihelpers.APIApproved:
		c.Status, c.Reason = apiextensionsv1.ConditionTrue, "ApprovedAnnotation"
	case apihelpers.APIApprovalMissing:
		c.Reason = "MissingAnnotation"
	case apihelpers.APIApprovalBypassed:
		c.Reason = "UnapprovedAnnotation"
	default:
		c.Reason = "InvalidAnnotation"
	}
	setCondition(crd, c, now)
}

// Conditions of a definition that is being deleted, as its objects go.
var (
	deleting = terminating(apiextensionsv1.ConditionTrue, "InstanceDeletionInProgress", "CustomResource deletion is in progress")
	deleted  = terminating(apiextensionsv1.ConditionFalse, "InstanceDeletionCompleted", "removed all instances")
	never    = terminating(apiextensionsv1.ConditionFalse, "NeverEstablished", "resource was never established")
	built    = terminating(apiextensionsv1.ConditionFalse, "OverlappingBuiltInResource", "instances overlap with built-in resources in storage")
)

func terminating(s apiextensionsv1.ConditionStatus, reason, message string) apiextensionsv1.CustomResourceDefinitionCondition {
	return apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Terminating, Status: s, Reason: reason, Message: message}
}

// setCondition puts c into crd's status; the time of the transition is that of the last change of the status of the condition.
func setCondition(crd *apiextensionsv1.CustomResourceDefinition, c apiextensionsv1.CustomResourceDefinitionCondition, now time.Time) {
	old := apihelpers.FindCRDCondition(crd, c.Type)
	if old == nil {
		c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
		crd.Status.Conditions = append(crd.Status.Conditions, c)
		return
	}
	if old.Status != c.Status || old.LastTransitionTime.IsZero() {
		old.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	}
	old.Status, old.Reason, old.Message = c.Status, c.Reason, c.Message
}
