package expression

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apimachinery/pkg/util/version"
	apicel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
)

// The variables.
const (
	Object          = "object"
	OldObject       = "oldObject"
	Params          = "params"
	Request         = "request"
	Namespace       = "namespaceObject"
	Authorizer      = "authorizer"
	RequestResource = "authorizer.requestResource"
	Variables       = "variables"
)

const variablesType = "kubernetes.variables"

// always is older than any version that could be asked for: what is declared with it is there in all of them.
var always = version.MajorMinor(1, 0)

// extend returns the environment of all expressions that see what s says.
func (c *Compiler) extend(s Sees) (*environment.EnvSet, error) {
	request, namespace := requestType(), namespaceType()
	types := []*apicel.DeclType{namespace, request}
	typeOf := func(t *apicel.DeclType) *cel.Type {
		if t == nil {
			return cel.DynType
		}
		types = append(types, t)
		return t.CelType()
	}
	object := typeOf(c.object)
	vars := []cel.EnvOption{
		cel.Variable(Object, object), cel.Variable(OldObject, object),
		cel.Variable(Request, request.CelType()), cel.Variable(Namespace, namespace.CelType()),
	}
	if s.Params {
		vars = append(vars, cel.Variable(Params, typeOf(c.params)))
	}
	if s.Authorizer {
		vars = append(vars, cel.Variable(Authorizer, library.AuthorizerType), cel.Variable(RequestResource, library.ResourceCheckType))
	}
	if c.variables != nil {
		vars = append(vars, cel.Variable(Variables, c.variables.CelType()))
		types = append(types, c.variables)
	}
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	set, err := base.Extend(
		environment.VersionedOptions{IntroducedVersion: always, EnvOptions: vars, DeclTypes: types},
		environment.StrictCostOpt)
	if err != nil || !s.Patches {
		return set, err
	}
	return set.Extend(environment.VersionedOptions{IntroducedVersion: always, EnvOptions: []cel.EnvOption{
		common.ResolverEnvOption(&mutation.DynamicTypeResolver{}),
		environment.UnversionedLib(library.JSONPatch),
	}})
}

// A declared field is required in that reading it is always allowed; optional ones must be tried with has() first.

func structType(name string, fields ...*apicel.DeclField) *apicel.DeclType {
	byName := map[string]*apicel.DeclField{}
	for _, f := range fields {
		byName[f.Name] = f
	}
	return apicel.NewObjectType(name, byName)
}

func required(name string, t *apicel.DeclType) *apicel.DeclField {
	return apicel.NewDeclField(name, t, true, nil, nil)
}

func optional(name string, t *apicel.DeclType) *apicel.DeclField {
	return apicel.NewDeclField(name, t, false, nil, nil)
}

func texts(names ...string) []*apicel.DeclField {
	var fields []*apicel.DeclField
	for _, name := range names {
		fields = append(fields, required(name, apicel.StringType))
	}
	return fields
}

func listOf(t *apicel.DeclType) *apicel.DeclType { return apicel.NewListType(t, -1) }

func mapTo(t *apicel.DeclType) *apicel.DeclType { return apicel.NewMapType(apicel.StringType, t, -1) }

// requestType is an AdmissionRequest without its uid and its objects, which are variables themselves.
func requestType() *apicel.DeclType {
	kind := structType("kubernetes.GroupVersionKind", texts("group", "version", "kind")...)
	resource := structType("kubernetes.GroupVersionResource", texts("group", "version", "resource")...)
	user := structType("kubernetes.UserInfo",
		optional("username", apicel.StringType),
		optional("uid", apicel.StringType),
		optional("groups", listOf(apicel.StringType)),
		optional("extra", mapTo(listOf(apicel.StringType))))
	return structType("kubernetes.AdmissionRequest",
		required("kind", kind),
		required("resource", resource),
		optional("subResource", apicel.StringType),
		required("requestKind", kind),
		required("requestResource", resource),
		optional("requestSubResource", apicel.StringType),
		required("name", apicel.StringType),
		optional("namespace", apicel.StringType),
		required("operation", apicel.StringType),
		required("userInfo", user),
		optional("dryRun", apicel.BoolType),
		optional("options", apicel.DynType))
}

// namespaceType is a Namespace without what nobody should decide by: its owners and its managedFields. The case of UID is
// upstream's.
func namespaceType() *apicel.DeclType {
	condition := structType("kubernetes.NamespaceCondition",
		append(texts("status", "type", "message", "reason"), required("lastTransitionTime", apicel.TimestampType))...)
	metadata := structType("kubernetes.NamespaceMetadata",
		append(texts("name", "generateName", "namespace", "UID", "resourceVersion"),
			required("labels", mapTo(apicel.StringType)),
			required("annotations", mapTo(apicel.StringType)),
			required("creationTimestamp", apicel.TimestampType),
			required("deletionGracePeriodSeconds", apicel.IntType),
			required("deletionTimestamp", apicel.TimestampType),
			required("generation", apicel.IntType),
			required("finalizers", listOf(apicel.StringType)))...)
	return structType("kubernetes.Namespace",
		required("metadata", metadata),
		required("spec", structType("kubernetes.NamespaceSpec", required("finalizers", listOf(apicel.StringType)))),
		required("status", structType("kubernetes.NamespaceStatus",
			required("conditions", listOf(condition)), required("phase", apicel.StringType))))
}

// scalars are the types that CEL and declarations have in common.
var scalars = map[*cel.Type]*apicel.DeclType{
	cel.AnyType: apicel.AnyType, cel.BoolType: apicel.BoolType, cel.BytesType: apicel.BytesType, cel.DoubleType: apicel.DoubleType,
	cel.DurationType: apicel.DurationType, cel.IntType: apicel.IntType, cel.NullType: apicel.NullType,
	cel.StringType: apicel.StringType, cel.TimestampType: apicel.TimestampType, cel.UintType: apicel.UintType,
}

// declType declares what a variable's expression was found to be. Structs have no declaration: a variable of such a type is
// checked when it is used.
func declType(t *cel.Type) *apicel.DeclType {
	if t == nil {
		return apicel.DynType
	}
	if d, ok := scalars[t]; ok {
		return d
	}
	if !t.HasTrait(traits.ContainerType) || !t.HasTrait(traits.IndexerType) {
		return apicel.DynType
	}
	switch of := t.Parameters(); len(of) {
	case 1:
		return listOf(declType(of[0]))
	case 2:
		return apicel.NewMapType(declType(of[0]), declType(of[1]), -1)
	}
	return apicel.DynType
}
