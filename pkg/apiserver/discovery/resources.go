package discovery

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"bonsai/pkg/resource"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// all are the verbs of a kind that does not name its own.
var all = metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// allCustom are those of a custom kind, in the order in which clients have always seen them.
var allCustom = metav1.Verbs{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"}

// resources are the entries of a row at one version: the resource and its subresources.
func resources(r *resource.Row, gv schema.GroupVersion) []metav1.APIResource {
	main := metav1.APIResource{
		Name: r.Resource, SingularName: r.Singular, Namespaced: r.Namespaced, Kind: r.Kind, Verbs: all,
		ShortNames: r.ShortNames, Categories: r.Categories,
	}
	if r.Verbs != nil {
		main.Verbs = slices.Sorted(slices.Values(r.Verbs))
	}
	if r.Prefix != "" {
		main.StorageVersionHash = storageHash(r.KeptGVK())
	}
	if r.Custom != nil {
		main.StorageVersionHash, main.Verbs = storageHash(r.Custom.Stored.WithKind(r.Kind)), allCustom
		if r.Custom.Terminating() {
			main.Verbs = metav1.Verbs{"delete", "deletecollection", "get", "list", "watch"}
		}
	}
	list := []metav1.APIResource{main}
	add := func(name string, gvk schema.GroupVersionKind, verbs ...string) {
		sub := metav1.APIResource{Name: r.Resource + "/" + name, Namespaced: r.Namespaced, Kind: gvk.Kind, Verbs: verbs}
		if gvk.GroupVersion() != gv {
			sub.Group, sub.Version = gvk.Group, gvk.Version
		}
		list = append(list, sub)
	}
	if r.Status != nil {
		add("status", gv.WithKind(r.Kind), "get", "patch", "update")
	}
	if r.Scale != nil {
		add("scale", autoscalingv1.SchemeGroupVersion.WithKind("Scale"), "get", "patch", "update")
	}
	for _, s := range r.Subresources {
		add(s.Name, s.GroupVersion.WithKind(s.Kind), slices.Sorted(slices.Values(s.Verbs))...)
	}
	return list
}

// storageHash tells clients that two resources are the same objects, and whether their stored form changed.
func storageHash(gvk schema.GroupVersionKind) string {
	sum := sha256.Sum256([]byte(gvk.Group + "/" + gvk.Version + "/" + gvk.Kind))
	return base64.StdEncoding.EncodeToString(sum[:8])
}

// responseKind is the kind that a resource answers with. The group and version are empty where they are those of the resource, but
// for custom kinds, of which both are always told.
func (v groupVersion) responseKind(r *metav1.APIResource) *metav1.GroupVersionKind {
	if r.Version == "" && v.custom {
		return &metav1.GroupVersionKind{Group: v.Group, Version: v.Version, Kind: r.Kind}
	}
	return &metav1.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// aggregate puts the subresources below their resources.
func (v groupVersion) aggregate() []apidiscoveryv2.APIResourceDiscovery {
	var list []apidiscoveryv2.APIResourceDiscovery
	for i, r := range v.resources {
		kind := v.responseKind(&v.resources[i])
		if name, sub, ok := strings.Cut(r.Name, "/"); ok {
			// The parent is before it, but not always right before: "-" sorts before "/".
			i := slices.IndexFunc(list, func(p apidiscoveryv2.APIResourceDiscovery) bool { return p.Resource == name })
			if i < 0 {
				continue // another server may list what it likes
			}
			list[i].Subresources = append(list[i].Subresources,
				apidiscoveryv2.APISubresourceDiscovery{Subresource: sub, ResponseKind: kind, Verbs: r.Verbs})
			continue
		}
		scope := apidiscoveryv2.ScopeCluster
		if r.Namespaced {
			scope = apidiscoveryv2.ScopeNamespace
		}
		list = append(list, apidiscoveryv2.APIResourceDiscovery{
			Resource: r.Name, ResponseKind: kind, Scope: scope, SingularResource: r.SingularName,
			Verbs: r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories,
		})
	}
	return list
}
