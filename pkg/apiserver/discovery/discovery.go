// Package discovery tells clients which kinds there are: /api, /apis and what is below them.
//
// # The problem
//
// kubectl knows no kinds. Before anything else it asks which groups, versions and resources a server has, what their
// short names and verbs are, and everything it types afterwards (`kubectl get deploy`) goes through that answer.
// There are two forms of it. The older is one document for each group and version, some twenty-five requests; the
// newer, aggregated one holds everything in two documents, /api and /apis, and is asked for by an Accept header at
// the same paths. Clients use the newer and fall back to the older, so both must say the same.
//
// # The flow
//
// New derives every document from the table of rows, once, as bytes: nothing in them depends on the request. Serving
// is negotiation and a write. When the kinds change (a CRD comes or goes), the server makes new Documents and puts
// them in place of the old.
//
// # The guarantees
//
//   - The order is upstream's: groups by their priority, versions from the most stable and newest down, resources by
//     name.
//   - The aggregated documents carry an ETag of their content, so that a client's cache costs a 304.
//   - All documents come as JSON, YAML or protobuf, as the client accepts.
package discovery

import (
	"cmp"
	"crypto/sha512"
	"fmt"
	"slices"
	"strings"

	"bonsai/pkg/resource"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// Documents are all that discovery serves, ready to send.
type Documents struct {
	// byPath are the older documents, aggregated the newer at /api and /apis.
	byPath, aggregated map[string]document
}

// Elsewhere is a group and version that another server serves. One that could not be asked what it serves is listed as stale.
type Elsewhere struct {
	schema.GroupVersion
	Resources                      []metav1.APIResource
	Stale                          bool
	GroupPriority, VersionPriority int32
}

// New makes the documents for rows, and for what is elsewhere. address is the host and port of the server, which /api tells.
func New(rows []*resource.Row, address string, elsewhere ...Elsewhere) (*Documents, error) {
	groups := groupsOf(rows, elsewhere)
	d := &Documents{byPath: map[string]document{}, aggregated: map[string]document{}}
	core, named := groups[:0:0], groups[:0:0]
	for _, g := range groups {
		if g.name == "" {
			core = append(core, g)
		} else {
			named = append(named, g)
		}
	}
	for path, o := range older(core, named, address) {
		doc, err := encode(o)
		if err != nil {
			return nil, fmt.Errorf("encode discovery document %s: %w", path, err)
		}
		d.byPath[path] = doc
	}
	for path, gs := range map[string][]group{"/api": core, "/apis": named} {
		doc, err := encode(aggregate(gs))
		if err != nil {
			return nil, fmt.Errorf("encode aggregated discovery document %s: %w", path, err)
		}
		doc.etag = fmt.Sprintf(`"%X"`, sha512.Sum512(doc.json))
		d.aggregated[path] = doc
	}
	return d, nil
}

// group is an API group with its versions, the preferred first.
type group struct {
	name     string
	versions []groupVersion
}

// groupVersion is a version with the resources it serves, subresources included, sorted by name.
type groupVersion struct {
	schema.GroupVersion
	resources []metav1.APIResource
	stale     bool
	custom    bool  // its kinds are defined by users
	priority  int32 // of the version in its group; 0 goes by the version's name
}

// compare sorts resources by name. The subresources of custom kinds stay in the order that they have always been told in.
func (v *groupVersion) compare(a, b metav1.APIResource) int {
	if v.custom {
		of, _, _ := strings.Cut(a.Name, "/")
		other, _, _ := strings.Cut(b.Name, "/")
		return cmp.Compare(of, other)
	}
	return cmp.Compare(a.Name, b.Name)
}

// groupsOf sorts the rows, and what is elsewhere, into groups and versions. What is both here and elsewhere is elsewhere: somebody
// has put another server in the place of this one.
func groupsOf(rows []*resource.Row, elsewhere []Elsewhere) []group {
	byVersion := map[schema.GroupVersion]*groupVersion{}
	of := func(gv schema.GroupVersion) *groupVersion {
		if byVersion[gv] == nil {
			byVersion[gv] = &groupVersion{GroupVersion: gv}
		}
		return byVersion[gv]
	}
	for _, r := range rows {
		for _, v := range r.Versions {
			of(v.GroupVersion).resources = append(of(v.GroupVersion).resources, resources(r, v.GroupVersion)...)
			of(v.GroupVersion).custom = r.Custom != nil
		}
	}
	first := map[string]int{}
	for _, e := range elsewhere {
		*of(e.GroupVersion) = groupVersion{
			GroupVersion: e.GroupVersion, resources: slices.Clone(e.Resources), stale: e.Stale, priority: e.VersionPriority,
		}
		first[e.Group] = max(first[e.Group], int(e.GroupPriority))
	}
	byGroup := map[string][]groupVersion{}
	for gv, v := range byVersion {
		slices.SortStableFunc(v.resources, v.compare)
		byGroup[gv.Group] = append(byGroup[gv.Group], *v)
	}
	var groups []group
	for name, versions := range byGroup {
		slices.SortFunc(versions, func(a, b groupVersion) int {
			return cmp.Or(-cmp.Compare(a.priority, b.priority), -version.CompareKubeAwareVersionStrings(a.Version, b.Version))
		})
		groups = append(groups, group{name, versions})
		if p, ok := Priorities[name]; ok {
			first[name] = p
		} else if first[name] == 0 {
			first[name] = ofCustom
		}
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(-cmp.Compare(first[a.name], first[b.name]), cmp.Compare(a.name, b.name))
	})
	return groups
}

// Priorities put the groups in upstream's order: a short name that two groups have means the kind of the earlier one.
var Priorities = map[string]int{
	"": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
	"autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
	"rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700, "admissionregistration.k8s.io": 16700,
	"scheduling.k8s.io": 16600, "coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200,
	"flowcontrol.apiserver.k8s.io": 16100, "internal.apiserver.k8s.io": 16000, "resource.k8s.io": 16200,
	"storagemigration.k8s.io": 15800, "apiregistration.k8s.io": 20000,
}

// ofCustom is the priority of the groups of custom kinds.
const ofCustom = 1000

// older makes the documents of one group and version each.
func older(core, named []group, address string) map[string]runtime.Object {
	docs := map[string]runtime.Object{}
	list := &metav1.APIGroupList{TypeMeta: meta("APIGroupList"), Groups: []metav1.APIGroup{}}
	versions := &metav1.APIVersions{
		TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{},
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: address}},
	}
	for _, g := range core {
		for _, v := range g.versions {
			versions.Versions = append(versions.Versions, v.Version)
			docs["/api/"+v.Version] = v.list()
		}
	}
	for _, g := range named {
		one := g.document()
		list.Groups = append(list.Groups, one)
		one.TypeMeta = meta("APIGroup")
		docs["/apis/"+g.name] = &one
		for _, v := range g.versions {
			docs["/apis/"+v.String()] = v.list()
		}
	}
	docs["/api"], docs["/apis"] = versions, list
	return docs
}

func (g group) document() metav1.APIGroup {
	one := metav1.APIGroup{Name: g.name}
	for _, v := range g.versions {
		one.Versions = append(one.Versions, metav1.GroupVersionForDiscovery{GroupVersion: v.String(), Version: v.Version})
	}
	one.PreferredVersion = one.Versions[0]
	return one
}

func (v groupVersion) list() *metav1.APIResourceList {
	l := &metav1.APIResourceList{TypeMeta: meta("APIResourceList"), GroupVersion: v.String(), APIResources: v.resources}
	if v.Group == "" {
		l.APIVersion = ""
	}
	return l
}

func meta(kind string) metav1.TypeMeta { return metav1.TypeMeta{Kind: kind, APIVersion: "v1"} }

// aggregate makes the one document that holds all groups.
func aggregate(groups []group) *apidiscoveryv2.APIGroupDiscoveryList {
	list := &apidiscoveryv2.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: "apidiscovery.k8s.io/v2"},
		Items:    []apidiscoveryv2.APIGroupDiscovery{},
	}
	for _, g := range groups {
		item := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g.name}}
		for _, v := range g.versions {
			freshness := apidiscoveryv2.DiscoveryFreshnessCurrent
			if v.stale {
				freshness = apidiscoveryv2.DiscoveryFreshnessStale
			}
			item.Versions = append(item.Versions, apidiscoveryv2.APIVersionDiscovery{
				Version: v.Version, Resources: v.aggregate(), Freshness: freshness,
			})
		}
		list.Items = append(list.Items, item)
	}
	return list
}
