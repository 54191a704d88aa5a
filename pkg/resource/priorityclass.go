package resource

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Names that begin with systemPriorityPrefix, and values above maxUserPriority, are for the classes of the system.
const (
	systemPriorityPrefix = "system-"
	maxUserPriority      = int32(1000000000)
)

// systemPriorities are the classes that every cluster has, for what must run before anything of users.
var systemPriorities = map[string]int32{
	"system-cluster-critical": 2 * maxUserPriority,
	"system-node-critical":    2*maxUserPriority + 1000,
}

// SystemPriorityClasses are the objects of these classes.
func SystemPriorityClasses() []*schedulingv1.PriorityClass {
	class := func(name, description string) *schedulingv1.PriorityClass {
		policy := corev1.PreemptLowerPriority
		return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: systemPriorities[name], Description: description, PreemptionPolicy: &policy}
	}
	return []*schedulingv1.PriorityClass{
		class("system-node-critical", "Used for system critical pods that must not be moved from their current node."),
		class("system-cluster-critical", "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
	}
}

func priorityClasses() *Row {
	doc := schedulingv1.PriorityClass{}.SwaggerDoc()
	return Row{
		Resource: "priorityclasses", Singular: "priorityclass", Kind: "PriorityClass",
		ShortNames: []string{"pc"},
		Versions:   []Version{servedAs[schedulingv1.PriorityClass, schedulingv1.PriorityClassList](schedulingv1.SchemeGroupVersion)},
		Prefix:     "priorityclasses",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, integer(column("Value", doc["value"])), boolean(column("Global-Default", doc["globalDefault"])), ageColumn,
			column("PreemptionPolicy", doc["preemptionPolicy"]),
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*schedulingv1.PriorityClass]{
		Default:        func(p *schedulingv1.PriorityClass) { orPtr(&p.PreemptionPolicy, corev1.PreemptLowerPriority) },
		PrepareCreate:  func(p *schedulingv1.PriorityClass) { p.Generation = 1 },
		Validate:       validatePriorityClass,
		ValidateUpdate: validatePriorityClassUpdate,
		Cells: func(p *schedulingv1.PriorityClass, now time.Time) []any {
			policy := ""
			if p.PreemptionPolicy != nil {
				policy = string(*p.PreemptionPolicy)
			}
			return []any{p.Name, int64(p.Value), p.GlobalDefault, age(p, now), policy}
		},
	}))
}

func validatePriorityClass(p *schedulingv1.PriorityClass) field.ErrorList {
	errs := validateMeta(p, false, subdomainName)
	if strings.HasPrefix(p.Name, systemPriorityPrefix) {
		if wrong := systemPriority(p); wrong != "" {
			errs = append(errs, forbiddenAt(newPlace("metadata", "name"),
				"priority class names with '"+systemPriorityPrefix+"' prefix are reserved for system use only. error: "+wrong))
		}
	} else if p.Value > maxUserPriority {
		errs = append(errs, forbiddenAt(newPlace("value"),
			fmt.Sprintf("maximum allowed value of a user defined priority is %v", maxUserPriority)))
	}
	return append(errs, given(p.PreemptionPolicy, newPlace("preemptionPolicy"), preemptionPolicy)...)
}

// systemPriority says what keeps p from being one of the system's classes.
func systemPriority(p *schedulingv1.PriorityClass) string {
	value, known := systemPriorities[p.Name]
	switch {
	case !known:
		return p.Name + " is not a known system priority class"
	case p.Value != value:
		return fmt.Sprintf("value of %v PriorityClass must be %v", p.Name, value)
	case p.GlobalDefault:
		return fmt.Sprintf("globalDefault of %v PriorityClass must be false", p.Name)
	}
	return ""
}

func preemptionPolicy(p *corev1.PreemptionPolicy, path *place) field.ErrorList {
	return presentOneOf(*p, path, corev1.PreemptLowerPriority, corev1.PreemptNever)
}

func validatePriorityClassUpdate(next, old *schedulingv1.PriorityClass) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		when(next.Value != old.Value, forbiddenAt(newPlace("value"), "may not be changed in an update.")),
		immutable(next.PreemptionPolicy, old.PreemptionPolicy, newPlace("preemptionPolicy")),
	)
}
