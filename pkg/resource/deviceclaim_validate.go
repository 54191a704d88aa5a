package resource

import (
	"encoding/json"
	"fmt"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apicel "k8s.io/apiserver/pkg/cel"

	"bonsai/pkg/resource/devicecel"
)

const notARequest = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

// deviceClaim validates what claims and their templates ask for.
func deviceClaim(c *resourcev1.DeviceClaim, path *place) field.ErrorList {
	known := requestsOf(c)
	return join(
		declaredList(c.Requests, resourcev1.DeviceRequestsMaxSize, path.Child("requests"),
			func(r *resourcev1.DeviceRequest) string { return r.Name }, deviceRequest),
		boundedList(c.Constraints, resourcev1.DeviceConstraintsMaxSize, path.Child("constraints"), known.constraint),
		boundedList(c.Config, resourcev1.DeviceConfigMaxSize, path.Child("config"),
			func(c *resourcev1.DeviceClaimConfiguration, path *place) field.ErrorList {
				return join(known.all(c.Requests, path.Child("requests")), deviceConfiguration(&c.DeviceConfiguration, false, path))
			}),
	)
}

// knownRequests are the names of requests, and, after a slash, of their alternatives.
type knownRequests map[string]bool

func requestsOf(c *resourcev1.DeviceClaim) knownRequests {
	known := knownRequests{}
	for _, r := range c.Requests {
		known[r.Name] = true
		for _, s := range r.FirstAvailable {
			known[r.Name+"/"+s.Name] = true
		}
	}
	return known
}

func (known knownRequests) all(names []string, path *place) field.ErrorList {
	return declaredList(names, resourcev1.DeviceRequestsMaxSize, path, itself, known.one)
}

func (known knownRequests) one(name *string, path *place) field.ErrorList {
	parts := strings.Split(*name, "/")
	if len(parts) > 2 {
		return field.ErrorList{invalidAt(path, *name, notARequest)}
	}
	var errs field.ErrorList
	for _, p := range parts {
		errs = append(errs, dnsLabel(p, path)...)
	}
	return append(errs, when(!known[*name], invalidAt(path, *name, notARequest))...)
}

func (known knownRequests) constraint(c *resourcev1.DeviceConstraint, path *place) field.ErrorList {
	name := func(n *resourcev1.FullyQualifiedName, path *place) field.ErrorList {
		return declaredFormat(*n, path, validate.ResourceFullyQualifiedName)
	}
	return join(
		known.all(c.Requests, path.Child("requests")),
		given(c.MatchAttribute, path.Child("matchAttribute"), name),
		given(c.DistinctAttribute, path.Child("distinctAttribute"), name),
		when(c.MatchAttribute == nil && c.DistinctAttribute == nil, requiredAt(path, // the words are upstream's, that of "multiple" included
			`exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set`)),
	)
}

func deviceRequest(r *resourcev1.DeviceRequest, path *place) field.ErrorList {
	inside := join(
		given(r.Exactly, path.Child("exactly"), exactRequest),
		declaredList(r.FirstAvailable, resourcev1.FirstAvailableDeviceRequestMaxSize, path.Child("firstAvailable"),
			func(s *resourcev1.DeviceSubRequest) string { return s.Name }, subRequest),
	)
	errs := dnsLabel(r.Name, path.Child("name"))
	switch exactly, firstAvailable := r.Exactly != nil, len(r.FirstAvailable) > 0; {
	case exactly && firstAvailable:
		return join(errs, field.ErrorList{invalidAt[any](path, nil,
			"exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set")}, onlyDeclared(inside))
	case !exactly && !firstAvailable:
		errs = append(errs, requiredAt(path, "exactly one of `exactly` or `firstAvailable` is required"))
	}
	return append(errs, inside...)
}

func exactRequest(r *resourcev1.ExactDeviceRequest, path *place) field.ErrorList {
	class := present(r.DeviceClassName, path.Child("deviceClassName"))
	if r.DeviceClassName != "" {
		class = dnsSubdomain(r.DeviceClassName, path.Child("deviceClassName"))
	}
	return join(class,
		deviceSelectors(r.Selectors, false, path.Child("selectors")),
		allocationMode(r.AllocationMode, r.Count, path),
		each(r.Tolerations, path.Child("tolerations"), deviceToleration),
	)
}

func subRequest(r *resourcev1.DeviceSubRequest, path *place) field.ErrorList {
	return join(
		dnsLabel(r.Name, path.Child("name")),
		declaredPresent(r.DeviceClassName, path.Child("deviceClassName"), validate.LongName),
		deviceSelectors(r.Selectors, false, path.Child("selectors")),
		allocationMode(r.AllocationMode, r.Count, path),
		each(r.Tolerations, path.Child("tolerations"), deviceToleration),
	)
}

func allocationMode(mode resourcev1.DeviceAllocationMode, count int64, path *place) field.ErrorList {
	at := path.Child("count")
	switch mode {
	case resourcev1.DeviceAllocationModeAll:
		return when(count != 0, invalidAt(at, count, fmt.Sprintf("must not be specified when allocationMode is '%s'", mode)))
	case resourcev1.DeviceAllocationModeExactCount:
		return when(count <= 0, invalidAt(at, count, "must be greater than zero"))
	}
	return declaredOneOf(mode, path.Child("allocationMode"), resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount)
}

// deviceSelectors validates expressions; stored says that they are the same as before.
func deviceSelectors(selectors []resourcev1.DeviceSelector, stored bool, path *place) field.ErrorList {
	return boundedList(selectors, resourcev1.DeviceSelectorsMaxSize, path, func(s *resourcev1.DeviceSelector, path *place) field.ErrorList {
		path = path.Child("cel")
		if s.CEL == nil {
			return field.ErrorList{requiredAt(path, "")}
		}
		return deviceExpression(s.CEL.Expression, stored, path.Child("expression"))
	})
}

func deviceExpression(expression string, stored bool, path *place) field.ErrorList {
	if most := resourcev1.CELSelectorExpressionMaxLength; len(expression) > most {
		return field.ErrorList{tooLongAt(path, "", most)}
	}
	cost, problem := devicecel.Check(expression, stored)
	switch {
	case problem == nil:
		return when(cost > resourcev1.CELSelectorExpressionMaxCost, forbiddenAt(path, "too complex, exceeds cost limit"))
	case problem.Type == apicel.ErrorTypeInvalid:
		return field.ErrorList{invalidAt(path, expression, problem.Detail)}
	}
	return field.ErrorList{internalErrorAt(path, problem)}
}

func deviceToleration(t *resourcev1.DeviceToleration, path *place) field.ErrorList {
	var errs field.ErrorList
	if t.Key != "" {
		errs = declaredFormat(t.Key, path.Child("key"), validate.LabelKey)
	}
	switch value := path.Child("value"); t.Operator {
	case resourcev1.DeviceTolerationOpExists:
		errs = append(errs, when(t.Value != "", invalidAt(value, t.Value, "must be empty for operator `Exists`"))...)
	case resourcev1.DeviceTolerationOpEqual:
		errs = append(errs, invalid(value, t.Value, labelValueProblems(t.Value))...)
	default:
		errs = append(errs, declaredOneOf(t.Operator, path.Child("operator"), resourcev1.DeviceTolerationOpEqual, resourcev1.DeviceTolerationOpExists)...)
	}
	if t.Effect != "" {
		errs = append(errs, deviceTaintEffect(t.Effect, path.Child("effect"))...)
	}
	return errs
}

func deviceTaintEffect(e resourcev1.DeviceTaintEffect, path *place) field.ErrorList {
	return declaredOneOf(e, path,
		resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone)
}

// deviceConfiguration is what only the driver understands.
func deviceConfiguration(c *resourcev1.DeviceConfiguration, stored bool, path *place) field.ErrorList {
	path = path.Child("opaque")
	if c.Opaque == nil {
		return field.ErrorList{requiredAt(path, "")}
	}
	return join(
		declaredDriver(c.Opaque.Driver, path.Child("driver")),
		when(len(c.Opaque.Driver) > 253, invalidAt(path.Child("driver"), c.Opaque.Driver, "must be no more than 253 bytes")),
		rawObject(c.Opaque.Parameters, stored, resourcev1.OpaqueParametersMaxLength, path.Child("parameters")),
	)
}

// rawObject wants a JSON object, and a short one where it is new.
func rawObject(x runtime.RawExtension, stored bool, most int, path *place) field.ErrorList {
	if len(x.Raw) == 0 {
		return field.ErrorList{requiredAt(path, "")}
	}
	if !stored && len(x.Raw) > most {
		return field.ErrorList{tooLongAt(path, "", most)}
	}
	var v any
	if err := json.Unmarshal(x.Raw, &v); err != nil {
		return field.ErrorList{invalidAt(path, "<value omitted>", "error parsing data as JSON: "+err.Error())}
	}
	if v == nil {
		return field.ErrorList{requiredAt(path, "")}
	}
	_, ok := v.(map[string]any)
	return when(!ok, invalidAt(path, "<value omitted>", "must be a valid JSON object"))
}
