package quota

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Limited is what nobody may use unless a quota says how much: of the objects of a resource, what has one of Contains in its name; and
// of pods and claims, what is in one of the scopes.
type Limited struct {
	Resource schema.GroupResource
	Contains []string
	Scopes   []corev1.ScopedResourceSelectorRequirement
}

// Covered is why a write is not to pass by the rule that what is limited must be in a quota; nil if it is, or if nothing is.
func Covered(limited []Limited, quotas []*corev1.ResourceQuota, w Write, now time.Time) error {
	if len(limited) == 0 {
		return nil
	}
	use := w.Meter.Use(w.Next, now)
	var before corev1.ResourceList
	if w.Old != nil {
		before = w.Meter.Use(w.Old, now)
	}
	if len(grown(use, before)) == 0 {
		return nil // whatever it uses, it used before
	}
	if names := w.uncoveredNames(limited, quotas, use); len(names) > 0 {
		return UncoveredError{text: "insufficient quota to consume: " + join(names)}
	}
	if scopes := w.uncoveredScopes(limited, quotas); len(scopes) > 0 {
		return UncoveredError{text: fmt.Sprintf("insufficient quota to match these scopes: %v", scopes), ByScope: true}
	}
	return nil
}

// UncoveredError says what is limited and in no quota.
type UncoveredError struct {
	text string
	// ByScope says that it is so because of a scope.
	ByScope bool
}

func (e UncoveredError) Error() string { return e.text }

// uncoveredNames are what the write uses of what is limited, and no quota counts.
func (w Write) uncoveredNames(limited []Limited, quotas []*corev1.ResourceQuota, use corev1.ResourceList) []corev1.ResourceName {
	var names []corev1.ResourceName
	for _, name := range sortedNames(use) {
		amount := use[name]
		is := amount.Sign() > 0 && slices.ContainsFunc(limited, func(l Limited) bool {
			return l.Resource == w.Meter.Resource && slices.ContainsFunc(l.Contains, func(part string) bool { return strings.Contains(string(name), part) })
		})
		counted := slices.ContainsFunc(quotas, func(q *corev1.ResourceQuota) bool {
			return w.Meter.matches(q, w.Next) && slices.Contains(w.Meter.about(q.Status.Hard), name)
		})
		if is && !counted {
			names = append(names, name)
		}
	}
	return names
}

// uncoveredScopes are those of what is limited that the write is in, and no quota of the same scope is about it.
func (w Write) uncoveredScopes(limited []Limited, quotas []*corev1.ResourceQuota) []corev1.ScopedResourceSelectorRequirement {
	if w.Meter.In == nil {
		return nil
	}
	covered := map[corev1.ResourceQuotaScope]bool{}
	for _, q := range quotas {
		for _, s := range scopes(q) {
			covered[s.ScopeName] = covered[s.ScopeName] || w.Meter.In(s, w.Next)
		}
	}
	var out []corev1.ScopedResourceSelectorRequirement
	for _, l := range limited {
		for _, s := range l.Scopes {
			if !covered[s.ScopeName] && w.Meter.In(s, w.Next) {
				out = append(out, s)
			}
		}
	}
	return out
}
