package definition

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/transport"
)

// reviews are the versions of ConversionReview that the server speaks.
var reviews = []string{"v1", "v1beta1"}

func knowsReview(versions []string) bool {
	return slices.ContainsFunc(versions, func(v string) bool { return slices.Contains(reviews, v) })
}

// conversion checks how objects get from one version to another.
func (v *validator) conversion(c *apiextensions.CustomResourceConversion, at *field.Path) {
	if c == nil {
		return
	}
	v.oneOf(string(c.Strategy), []string{string(apiextensions.NoneConverter), string(apiextensions.WebhookConverter)}, at.Child("strategy"))
	if c.Strategy != apiextensions.WebhookConverter {
		const words = "should not be set when strategy is not set to Webhook"
		if c.WebhookClientConfig != nil {
			v.add(field.Forbidden(at.Child("webhookClientConfig"), words))
		}
		if len(c.ConversionReviewVersions) > 0 {
			v.add(field.Forbidden(at.Child("conversionReviewVersions"), words))
		}
		return
	}
	v.client(c.WebhookClientConfig, at.Child("webhookClientConfig"))
	v.reviewVersions(c.ConversionReviewVersions, at.Child("conversionReviewVersions"))
}

func (v *validator) client(c *apiextensions.WebhookClientConfig, at *field.Path) {
	if c == nil {
		v.add(field.Required(at, "required when strategy is set to Webhook"))
		return
	}
	switch {
	case (c.URL == nil) == (c.Service == nil):
		v.add(field.Required(at, "exactly one of url or service is required"))
	case c.URL != nil:
		v.webhookURL(*c.URL, at.Child("url"))
	default:
		v.service(c.Service, at.Child("service"))
	}
	if len(c.CABundle) > 0 && !v.mayHaveBadCA {
		if bad := badCA(c.CABundle, at.Child("caBundle")); bad != nil {
			v.add(bad)
		}
	}
}

func badCA(bundle []byte, at *field.Path) *field.Error {
	if _, err := transport.TLSConfigFor(&transport.Config{TLS: transport.TLSConfig{CAData: bundle}}); err != nil {
		return field.Invalid(at, bundle, err.Error())
	}
	return nil
}

// webhookURL wants an HTTPS URL without anything that the server puts in itself.
func (v *validator) webhookURL(text string, at *field.Path) {
	const form = "; desired format: https://host[/path]"
	u, err := url.Parse(text)
	if err != nil {
		v.add(field.Required(at, "url must be a valid URL: "+err.Error()+form))
		return
	}
	if u.Scheme != "https" {
		v.add(field.Invalid(at, u.Scheme, "'https' is the only allowed URL scheme"+form))
	}
	if u.Host == "" {
		v.add(field.Invalid(at, u.Host, "host must be specified"+form))
	}
	if u.User != nil {
		v.add(field.Invalid(at, u.User.String(), "user information is not permitted in the URL"))
	}
	if u.Fragment != "" {
		v.add(field.Invalid(at, u.Fragment, "fragments are not permitted in the URL"))
	}
	if u.RawQuery != "" {
		v.add(field.Invalid(at, u.RawQuery, "query parameters are not permitted in the URL"))
	}
}

func (v *validator) service(s *apiextensions.ServiceReference, at *field.Path) {
	// Upstream has the two the wrong way round, and clients see that.
	if s.Namespace == "" {
		v.add(field.Required(at.Child("name"), ""))
	}
	if s.Name == "" {
		v.add(field.Required(at.Child("namespace"), ""))
	}
	if bad := utilvalidation.IsValidPortNum(int(s.Port)); bad != nil {
		v.add(field.Invalid(at.Child("port"), s.Port, "port is not valid: "+strings.Join(bad, ", ")))
	}
	if s.Path != nil {
		v.servicePath(*s.Path, at.Child("path"))
	}
}

// servicePath wants an absolute path of names.
func (v *validator) servicePath(p string, at *field.Path) {
	switch {
	case p == "/" || p == "":
		return
	case p == "//":
		v.add(field.Invalid(at, p, "segment[0] may not be empty"))
		return
	case !strings.HasPrefix(p, "/"):
		v.add(field.Invalid(at, p, "must start with a '/'"))
	}
	for i, segment := range strings.Split(strings.TrimSuffix(p[1:], "/"), "/") {
		if segment == "" {
			v.add(field.Invalid(at, p, fmt.Sprintf("segment[%d] may not be empty", i)))
			continue
		}
		for _, bad := range utilvalidation.IsDNS1123Subdomain(segment) {
			v.add(field.Invalid(at, p, fmt.Sprintf("segment[%d]: %v", i, bad)))
		}
	}
}

func (v *validator) reviewVersions(versions []string, at *field.Path) {
	if len(versions) == 0 {
		v.add(field.Required(at, ""))
		return
	}
	seen := map[string]bool{}
	for i, name := range versions {
		if seen[name] {
			v.add(field.Invalid(at.Index(i), name, "duplicate version"))
			continue
		}
		seen[name] = true
		for _, bad := range utilvalidation.IsDNS1035Label(name) {
			v.add(field.Invalid(at.Index(i), name, bad))
		}
	}
	if !v.mayHaveUnknownReviews && !knowsReview(versions) {
		v.add(field.Invalid(at, versions, "must include at least one of "+strings.Join(reviews, ", ")))
	}
}
