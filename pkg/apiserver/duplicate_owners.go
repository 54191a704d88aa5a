package apiserver

import (
	"fmt"
	"strings"

	"bonsai/pkg/resource"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Who names an owner twice is told so. A patch is told once, after admission, since what it comes to is nobody's writing.
const (
	duplicateOwners         = ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %v"
	duplicateOwnersAdmitted = ".metadata.ownerReferences contains duplicate entries after mutating admission happens; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %v"
)

// dedupOwners leaves each owner reference of obj there once, and warns of the others.
func dedupOwners(c *call, obj resource.Object, warning string) {
	refs := obj.GetOwnerReferences()
	if len(refs) < 2 {
		return
	}
	first := map[string][]metav1.OwnerReference{}
	var kept []metav1.OwnerReference
	var doubled []string
	for _, ref := range refs {
		uid := string(ref.UID)
		if hasReference(first[uid], ref) {
			doubled = append(doubled, uid)
			continue
		}
		first[uid] = append(first[uid], ref)
		kept = append(kept, ref)
	}
	if len(doubled) > 0 {
		c.warn(fmt.Sprintf(warning, strings.Join(doubled, ", ")))
		obj.SetOwnerReferences(kept)
	}
}

func hasReference(refs []metav1.OwnerReference, ref metav1.OwnerReference) bool {
	for _, r := range refs {
		if apiequality.Semantic.DeepEqual(r, ref) {
			return true
		}
	}
	return false
}
