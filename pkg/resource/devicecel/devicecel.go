// Package devicecel reads the expressions that select devices.
//
// A DeviceClass or a request of a ResourceClaim says which devices it wants in the Common Expression Language:
//
//	device.driver == "gpu.example.com" && device.attributes["gpu.example.com"].memory >= 16
//
// The API server must refuse an expression that cannot work, with words that help, and one that could take too long, for the
// scheduler evaluates it for every device of the cluster. So an expression is compiled in the environment in which it will be
// evaluated, its result must be true or false, and its cost is estimated from the largest device that the API allows.
//
// An attribute's type is not known before a device is seen. An expression that is nothing but an attribute is therefore
// accepted, and may fail later.
//
// Expressions that are stored already are compiled with everything the language has, new ones with what the previous version
// of Kubernetes has too, so that an older server of the same cluster can read them. The environments are made once, when the
// first expression comes; a cluster without devices never pays for them.
package devicecel

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/ext"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apicel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

// Check compiles an expression and returns what it may cost at most, or what is wrong with it. stored says that the expression
// was accepted before.
func Check(expression string, stored bool) (cost uint64, problem *apicel.Error) {
	e := environments()[stored]
	ast, issues := e.Compile(expression)
	if issues != nil {
		return 0, invalid("compilation failed: " + issues.String())
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(e.attribute.CelType()) {
		return 0, invalid(fmt.Sprintf("must evaluate to %v or the unknown type, not %v", cel.BoolType, out))
	}
	estimate, err := e.EstimateCost(ast, &library.CostEstimator{SizeEstimator: sizes{e.device, e.attribute}})
	if err != nil {
		return 0, &apicel.Error{Type: apicel.ErrorTypeInternal, Detail: "cost estimation failed: " + err.Error()}
	}
	return estimate.Max, nil
}

func invalid(detail string) *apicel.Error {
	return &apicel.Error{Type: apicel.ErrorTypeInvalid, Detail: detail}
}

// selectors is where expressions of one kind, new or stored, are compiled.
type selectors struct {
	*cel.Env
	device, attribute *apicel.DeclType
}

// environments are those of new expressions and, under true, of stored ones, which may use attributes as lists.
var environments = sync.OnceValue(func() map[bool]selectors {
	lists := max(resourcev1.DeviceAttributeMaxValueLength, resourcev1.ResourceSliceMaxAttributeValuesPerDevice)
	return map[bool]selectors{
		false: selectorsOf(environment.NewExpressions, sized(apicel.AnyType, resourcev1.DeviceAttributeMaxValueLength)),
		true:  selectorsOf(environment.StoredExpressions, sized(apicel.DynType, lists)),
	}
})

func selectorsOf(kind environment.Type, attribute *apicel.DeclType) selectors {
	device := deviceType(attribute)
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 31),
		EnvOptions:        []cel.EnvOption{ext.Bindings(ext.BindingsVersion(0)), cel.Variable("device", device.CelType())},
		DeclTypes:         []*apicel.DeclType{device},
	})
	if err != nil {
		panic("the environment of device selectors: " + err.Error()) // depends on nothing but this file
	}
	env, err := set.Env(kind)
	if err != nil {
		panic("the environment of device selectors: " + err.Error())
	}
	return selectors{env, device, attribute}
}

// deviceType is what an expression sees of a device. Attributes and capacities are found by their domain, then by their name.
func deviceType(attribute *apicel.DeclType) *apicel.DeclType {
	const most = resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice
	domain, id := sized(apicel.StringType, resourcev1.DeviceMaxDomainLength), sized(apicel.StringType, resourcev1.DeviceMaxIDLength)
	byName := func(value *apicel.DeclType) *apicel.DeclType {
		return apicel.NewMapType(domain, apicel.NewMapType(id, value, most), most)
	}
	fields := map[string]*apicel.DeclField{}
	for name, t := range map[string]*apicel.DeclType{
		"driver":                   sized(apicel.StringType, resourcev1.DriverNameMaxLength),
		"attributes":               byName(attribute),
		"capacity":                 byName(apicel.QuantityDeclType),
		"allowMultipleAllocations": sized(apicel.BoolType, 1),
	} {
		fields[name] = apicel.NewDeclField(name, t, true, nil, nil)
	}
	return apicel.NewObjectType("kubernetes.DRADevice", fields)
}

// sized is t with the number of elements, or bytes, that it has at most.
func sized(t *apicel.DeclType, most int) *apicel.DeclType {
	out := *t
	out.MaxElements = int64(most)
	return &out
}

// sizes tells the estimator how large the parts of a device can be.
type sizes struct{ device, attribute *apicel.DeclType }

// EstimateSize follows the way from the variable to a part.
func (s sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	path := node.Path()
	if len(path) == 0 || path[0] != "device" {
		return nil
	}
	at := s.device
	for _, step := range path[1:] {
		if at = s.inside(at, step); at == nil {
			return nil
		}
	}
	return &checker.SizeEstimate{Min: 0, Max: uint64(at.MaxElements)}
}

func (s sizes) inside(t *apicel.DeclType, step string) *apicel.DeclType {
	switch step {
	case "@items", "@values":
		return t.ElemType
	case "@keys":
		return t.KeyType
	}
	if f, ok := t.Fields[step]; ok {
		return f.Type
	}
	if t.ElemType == s.attribute { // device.attributes["domain"].name
		return s.attribute
	}
	return nil
}

// EstimateCallCost leaves the calls to the estimator of the Kubernetes library.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
