package resource

import (
	"fmt"
	"strings"
	"time"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

func apiServices() *Row {
	return Row{
		Resource: "apiservices", Singular: "apiservice", Kind: "APIService",
		Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[apiregistrationv1.APIService, apiregistrationv1.APIServiceList](
			apiregistrationv1.SchemeGroupVersion)},
		Prefix:  "apiregistration.k8s.io/apiservices",
		Unowned: map[string][]string{"status": {"metadata", "spec"}},
		InJSON:  &InJSON{},
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Service", "The reference to the service that hosts this API endpoint."),
			column("Available", "Whether this service is available."),
			ageColumn,
		},
	}.with(rules(Rules[*apiregistrationv1.APIService]{
		Default: func(a *apiregistrationv1.APIService) {
			if a.Spec.Service != nil {
				orPtr(&a.Spec.Service.Port, 443)
			}
		},
		PrepareCreate: prepareAPIService,
		PrepareUpdate: func(next, old *apiregistrationv1.APIService) { next.Status = old.Status },
		Validate: func(a *apiregistrationv1.APIService) field.ErrorList {
			return join(anyFinalizers(a, false, apiServiceName(a)), validateAPIService(a))
		},
		ValidateUpdate: func(next, old *apiregistrationv1.APIService) field.ErrorList {
			return join(
				apivalidation.ValidateObjectMetaAccessorUpdate(unlabelled(next), old, atMetadata.path()),
				anyFinalizers(next, false, apiServiceName(next)),
				validateAPIService(next),
			)
		},
		PrepareStatus: func(next, old *apiregistrationv1.APIService) {
			next.Spec, next.Labels, next.Annotations = old.Spec, old.Labels, old.Annotations
			next.Finalizers, next.OwnerReferences = old.Finalizers, old.OwnerReferences
		},
		ValidateStatus: validateAPIServiceStatus,
		Cells:          apiServiceCells,
	}))
}

// prepareAPIService makes what this server serves itself available from the beginning.
func prepareAPIService(a *apiregistrationv1.APIService) {
	a.Status = apiregistrationv1.APIServiceStatus{}
	if a.Spec.Service == nil {
		a.Status.Conditions = []apiregistrationv1.APIServiceCondition{{
			Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue, LastTransitionTime: a.CreationTimestamp,
			Reason: "Local", Message: "Local APIServices are always available",
		}}
	}
}

func apiServiceCells(a *apiregistrationv1.APIService, now time.Time) []any {
	service, available := "Local", string(apiregistrationv1.ConditionUnknown)
	if s := a.Spec.Service; s != nil {
		service = s.Namespace + "/" + s.Name
	}
	for _, c := range a.Status.Conditions {
		if c.Type != apiregistrationv1.Available {
			continue
		}
		available = string(c.Status)
		if c.Status != apiregistrationv1.ConditionTrue && c.Reason != "" {
			available = fmt.Sprintf("%s (%s)", c.Status, c.Reason)
		}
	}
	return []any{a.Name, service, available, age(a, now)}
}

// apiServiceName wants the name that the spec determines.
func apiServiceName(a *apiregistrationv1.APIService) func(string, bool) []string {
	want := a.Spec.Version + "." + a.Spec.Group
	return func(name string, _ bool) []string {
		if problems := path.IsValidPathSegmentName(name); len(problems) > 0 {
			return problems
		}
		if name != want {
			return []string{fmt.Sprintf("must be `spec.version+\".\"+spec.group`: %q", want)}
		}
		return nil
	}
}

func validateAPIService(a *apiregistrationv1.APIService) field.ErrorList {
	spec, s := atSpec, &a.Spec
	var errs field.ErrorList
	if s.Group == "" {
		errs = when(s.Version != "v1", requiredAt(spec.Child("group"), "only v1 may have an empty group and it better be legacy kube"))
	} else {
		errs = dnsSubdomain(s.Group, spec.Child("group"))
	}
	errs = append(errs, invalid(spec.Child("version"), s.Version, validation.IsDNS1035Label(s.Version))...)
	errs = append(errs, when(s.GroupPriorityMinimum <= 0 || s.GroupPriorityMinimum > 20000,
		invalidAt(spec.Child("groupPriorityMinimum"), s.GroupPriorityMinimum, "must be positive and less than 20000"))...)
	errs = append(errs, when(s.VersionPriority <= 0 || s.VersionPriority > 1000,
		invalidAt(spec.Child("versionPriority"), s.VersionPriority, "must be positive and less than 1000"))...)
	bundle, skip := spec.Child("caBundle"), spec.Child("insecureSkipTLSVerify")
	if s.Service == nil {
		return join(errs,
			when(len(s.CABundle) != 0, invalidAt(bundle, fmt.Sprintf("%d bytes", len(s.CABundle)), "local APIServices may not have a caBundle")),
			when(s.InsecureSkipTLSVerify, invalidAt(skip, true, "local APIServices may not have insecureSkipTLSVerify")))
	}
	return join(errs, apiServiceReference(s.Service, spec.Child("service")),
		when(s.InsecureSkipTLSVerify && len(s.CABundle) > 0, invalidAt(skip, true, "may not be true if caBundle is present")))
}

func apiServiceReference(r *apiregistrationv1.ServiceReference, path *place) field.ErrorList {
	errs := join(present(r.Namespace, path.Child("namespace")), present(r.Name, path.Child("name")))
	port := int32(0)
	if r.Port != nil {
		port = *r.Port
	}
	if problems := validation.IsValidPortNum(int(port)); len(problems) > 0 {
		errs = append(errs, invalidAt(path.Child("port"), port, "port is not valid: "+strings.Join(problems, ", ")))
	}
	return errs
}

func validateAPIServiceStatus(next, old *apiregistrationv1.APIService) field.ErrorList {
	known := []apiregistrationv1.ConditionStatus{
		apiregistrationv1.ConditionTrue, apiregistrationv1.ConditionFalse, apiregistrationv1.ConditionUnknown}
	return join(validateMetaUpdate(next, old), each(next.Status.Conditions, newPlace("status", "conditions"),
		func(c *apiregistrationv1.APIServiceCondition, path *place) field.ErrorList {
			return oneOf(c.Status, path.Child("status"), known...)
		}))
}
