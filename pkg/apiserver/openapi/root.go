package openapi

import (
	"bonsai/pkg/resource"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiversion "k8s.io/apimachinery/pkg/version"
)

// root is a path that tells of the server or of what it serves, and has no objects.
func root(url, id, tag, doc, result string, types []string) path {
	return path{url, []operation{{
		method: "get", id: id, tag: tag, doc: doc, consumes: types, produces: types, result: result, returns: ok,
	}}}
}

// roots are those paths by the v3 documents they are alone in: what there is whatever the kinds, and what lists the versions of
// each group of built-in kinds.
func roots(table []*resource.Row) map[string]path {
	const versions = "get available API versions"
	config := root("/.well-known/openid-configuration/", "getServiceAccountIssuerOpenIDConfiguration", "WellKnown",
		"get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'", "string", mediaTypes[:1])
	keys := root("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset", "openid",
		"get service account issuer OpenID JSON Web Key Set (contains public token verification keys)", "string",
		[]string{"application/jwk-set+json"})
	config.ops[0].consumes, keys.ops[0].consumes = nil, nil
	all := map[string]path{
		"api":  root("/api/", "getCoreAPIVersions", "core", versions, model(&metav1.APIVersions{}), mediaTypes),
		"apis": root("/apis/", "getAPIVersions", "apis", versions, model(&metav1.APIGroupList{}), mediaTypes),
		"version": root("/version/", "getCodeVersion", "version", "get the version information for this server",
			model(apiversion.Info{}), mediaTypes[:1]),
		".well-known/openid-configuration": config,
		"openid/v1/jwks":                   keys,
	}
	for _, row := range table {
		for _, v := range row.Versions {
			if row.Custom != nil || v.Group == "" {
				continue
			}
			short := camel(shortGroup(v.Group))
			all["apis/"+v.Group] = root("/apis/"+v.Group+"/", "get"+short+"APIGroup", lowerFirst(short), "get information of a group",
				model(&metav1.APIGroup{}), mediaTypes)
		}
	}
	return all
}

// resourcesPath lists the kinds of a group's version.
func resourcesPath(gv schema.GroupVersion) path {
	return root("/"+groupPath(gv)+"/", "get"+camel(shortGroup(gv.Group))+camel(gv.Version)+"APIResources", tagOf(gv), "get available resources",
		model(&metav1.APIResourceList{}), mediaTypes)
}
