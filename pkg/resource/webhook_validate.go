package resource

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// reviewVersions are the versions of AdmissionReview that this server and the one before it can send.
var reviewVersions = []string{"v1", "v1beta1"}

// leniency is what an update lets pass because the old object has it already: rules have become stricter over the years, and
// what is stored must still be changeable.
type leniency struct {
	sideEffects, reviews, names, selectors bool
	// conditions says that nothing about match conditions has changed, stored which expressions were there before.
	conditions bool
	stored     map[string]bool
}

// lenient finds out what old webhooks, if there are any, excuse in new ones.
func lenient(next, old []admissionv1.MutatingWebhook) leniency {
	l := leniency{stored: map[string]bool{}, conditions: len(old) > 0 && len(next) == len(old)}
	names := taken{}
	for i, h := range old {
		l.sideEffects = l.sideEffects || h.SideEffects == nil || !isHarmless(*h.SideEffects)
		l.reviews = l.reviews || len(h.AdmissionReviewVersions) > 0 && !knowsReview(h.AdmissionReviewVersions)
		l.names = l.names || !names.claim(h.Name)
		l.selectors = l.selectors || len(webhookSelectors(&h, metavalidation.LabelSelectorValidationOptions{}, newPlace(""))) > 0
		l.conditions = l.conditions && same(next[i].MatchConditions, h.MatchConditions)
		for _, c := range h.MatchConditions {
			l.stored[c.Expression] = true
		}
	}
	return l
}

func isHarmless(c admissionv1.SideEffectClass) bool {
	return c == admissionv1.SideEffectClassNone || c == admissionv1.SideEffectClassNoneOnDryRun
}

func knowsReview(versions []string) bool {
	return slices.ContainsFunc(versions, func(v string) bool { return slices.Contains(reviewVersions, v) })
}

// validateWebhooks validates a configuration with these webhooks; old are those that it had, if it is there already.
func validateWebhooks(obj Object, hooks, old []admissionv1.MutatingWebhook) field.ErrorList {
	errs := anyFinalizers(obj, false, subdomainName)
	l := lenient(hooks, old)
	names := taken{}
	for i := range hooks {
		path := newPlace("webhooks").Index(i)
		errs = append(errs, validateWebhook(&hooks[i], l, path)...)
		errs = append(errs, validateReviewVersions(hooks[i].AdmissionReviewVersions, l, path.Child("admissionReviewVersions"))...)
		if name := hooks[i].Name; name != "" && !names.claim(name) && !l.names {
			errs = append(errs, duplicateAt(path.Child("name"), name))
		}
	}
	return errs
}

func validateWebhook(h *admissionv1.MutatingWebhook, l leniency, path *place) field.ErrorList {
	errs := join(
		validation.IsFullyQualifiedName(path.Child("name").path(), h.Name),
		each(h.Rules, path.Child("rules"), validateAdmissionRule),
		given(h.FailurePolicy, path.Child("failurePolicy"), failurePolicy),
		given(h.MatchPolicy, path.Child("matchPolicy"), matchPolicy),
		validateSideEffects(h.SideEffects, l, path.Child("sideEffects")),
		given(h.TimeoutSeconds, path.Child("timeoutSeconds"), webhookTimeout),
		webhookSelectors(h, metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: l.selectors}, path),
		given(h.ReinvocationPolicy, path.Child("reinvocationPolicy"), reinvocationPolicy),
		validateClientConfig(&h.ClientConfig, path.Child("clientConfig")),
	)
	if l.conditions {
		return errs
	}
	return append(errs, validateMatchConditions(h.MatchConditions, false, l.stored, path.Child("matchConditions"))...)
}

func failurePolicy(p *admissionv1.FailurePolicyType, path *place) field.ErrorList {
	return oneOf(*p, path, admissionv1.Fail, admissionv1.Ignore)
}

func matchPolicy(p *admissionv1.MatchPolicyType, path *place) field.ErrorList {
	return oneOf(*p, path, admissionv1.Equivalent, admissionv1.Exact)
}

func reinvocationPolicy(p *admissionv1.ReinvocationPolicyType, path *place) field.ErrorList {
	return oneOf(*p, path, admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
}

func webhookTimeout(seconds *int32, path *place) field.ErrorList {
	return when(*seconds < 1 || *seconds > 30, invalidAt(path, *seconds, "the timeout value must be between 1 and 30 seconds"))
}

func validateSideEffects(c *admissionv1.SideEffectClass, l leniency, path *place) field.ErrorList {
	known := []admissionv1.SideEffectClass{admissionv1.SideEffectClassNone, admissionv1.SideEffectClassNoneOnDryRun}
	if l.sideEffects {
		known = append(known, admissionv1.SideEffectClassSome, admissionv1.SideEffectClassUnknown)
	}
	if c != nil {
		return oneOf(*c, path, known...)
	}
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	return field.ErrorList{requiredAt(path, "must specify one of "+strings.Join(words, ", "))}
}

func webhookSelectors(h *admissionv1.MutatingWebhook, o metavalidation.LabelSelectorValidationOptions, path *place) field.ErrorList {
	return join(
		metavalidation.ValidateLabelSelector(h.NamespaceSelector, o, path.Child("namespaceSelector").path()),
		metavalidation.ValidateLabelSelector(h.ObjectSelector, o, path.Child("objectSelector").path()),
	)
}

func validateReviewVersions(versions []string, l leniency, path *place) field.ErrorList {
	all := strings.Join(reviewVersions, ", ")
	if len(versions) == 0 {
		return field.ErrorList{requiredAt(path, "must specify one of "+all)}
	}
	var errs field.ErrorList
	seen := taken{}
	for i, v := range versions {
		if !seen.claim(v) {
			errs = append(errs, invalidAt(path.Index(i), v, "duplicate version"))
			continue
		}
		errs = append(errs, invalid(path.Index(i), v, validation.IsDNS1035Label(v))...)
	}
	if !l.reviews && !knowsReview(versions) {
		errs = append(errs, invalidAt(path, versions, "must include at least one of "+all))
	}
	return errs
}

func validateClientConfig(c *admissionv1.WebhookClientConfig, path *place) field.ErrorList {
	switch {
	case (c.URL == nil) == (c.Service == nil):
		return field.ErrorList{requiredAt(path, "exactly one of url or service is required")}
	case c.URL != nil:
		return validateWebhookURL(*c.URL, path.Child("url"))
	}
	port := int32(443)
	if c.Service.Port != nil {
		port = *c.Service.Port
	}
	// Which of the two is missing is said of the other one.
	return validateWebhookService(c.Service.Namespace, c.Service.Name, c.Service.Path, port, path.Child("service"))
}

// validateWebhookURL is for every kind whose objects name a webhook by URL.
func validateWebhookURL(text string, path *place) field.ErrorList {
	const form = "; desired format: https://host[/path]"
	u, err := url.Parse(text)
	if err != nil {
		return field.ErrorList{requiredAt(path, "url must be a valid URL: "+err.Error()+form)}
	}
	return join(
		when(u.Scheme != "https", invalidAt(path, u.Scheme, "'https' is the only allowed URL scheme"+form)),
		when(u.Host == "", invalidAt(path, u.Host, "host must be specified"+form)),
		when(u.User != nil, invalidAt(path, u.User.String(), "user information is not permitted in the URL")),
		when(u.Fragment != "", invalidAt(path, u.Fragment, "fragments are not permitted in the URL")),
		when(u.RawQuery != "", invalidAt(path, u.RawQuery, "query parameters are not permitted in the URL")),
	)
}

// validateWebhookService is for every kind whose objects name a webhook by its service.
func validateWebhookService(name, namespace string, urlPath *string, port int32, path *place) field.ErrorList {
	errs := join(present(name, path.Child("name")), present(namespace, path.Child("namespace")))
	if wrong := validation.IsValidPortNum(int(port)); wrong != nil {
		errs = append(errs, invalidAt(path.Child("port"), port, "port is not valid: "+strings.Join(wrong, ", ")))
	}
	if urlPath == nil {
		return errs
	}
	return append(errs, validateServicePath(*urlPath, path.Child("path"))...)
}

func validateServicePath(text string, path *place) field.ErrorList {
	switch text {
	case "", "/":
		return nil
	case "//":
		return field.ErrorList{invalidAt(path, text, "segment[0] may not be empty")}
	}
	errs := when(text[0] != '/', invalidAt(path, text, "must start with a '/'"))
	for i, step := range strings.Split(strings.TrimSuffix(text[1:], "/"), "/") {
		segment := "segment[" + strconv.Itoa(i) + "]"
		if step == "" {
			errs = append(errs, invalidAt(path, text, segment+" may not be empty"))
			continue
		}
		for _, wrong := range subdomainName(step, false) {
			errs = append(errs, invalidAt(path, text, segment+": "+wrong))
		}
	}
	return errs
}
