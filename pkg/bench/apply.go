package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// applyText is a Deployment as a pipeline applies it. VERSION takes the place of what was built last, so that each apply changes something.
const applyText = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"NAME","namespace":"bench",
"labels":{"app.kubernetes.io/name":"storefront","app.kubernetes.io/version":"VERSION","team":"checkout"}},
"spec":{"replicas":3,"selector":{"matchLabels":{"app.kubernetes.io/name":"storefront"}},
"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1,"maxUnavailable":0}},
"template":{"metadata":{"labels":{"app.kubernetes.io/name":"storefront","app.kubernetes.io/version":"VERSION"}},
"spec":{"securityContext":{"runAsNonRoot":true,"runAsUser":10001},
"containers":[{"name":"web","image":"registry.example.com/shop/storefront:VERSION","ports":[{"name":"http","containerPort":8080}],
"env":[{"name":"LOG_LEVEL","value":"info"},{"name":"DATABASE_URL","valueFrom":{"secretKeyRef":{"name":"storefront-db","key":"url"}}}],
"resources":{"requests":{"cpu":"250m","memory":"256Mi"},"limits":{"memory":"512Mi"}},
"readinessProbe":{"httpGet":{"path":"/readyz","port":"http"},"periodSeconds":5},
"volumeMounts":[{"name":"config","mountPath":"/etc/storefront","readOnly":true}]}],
"volumes":[{"name":"config","configMap":{"name":"storefront-config"}}]}}}}`

// applied is the i-th Deployment of a series in its n-th version. JSON is YAML too.
func applied(i, n int) (name string, text []byte) {
	name = podName("app", i)
	return name, []byte(strings.NewReplacer("NAME", name, "VERSION", fmt.Sprintf("2.14.%d", n)).Replace(applyText))
}

// applies measures server-side applies: who owns which field is read, merged and written with each.
func applies(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "apply", func(api, limit *server) ([]Result, error) {
		apps := b.scaled(256, 128)
		apply := func(ctx context.Context, n int) (int64, error) {
			name, text := applied(n%apps, n)
			return api.size(ctx, http.MethodPatch, deploymentsPath+"/"+name+"?fieldManager=pipeline", applyType, text)
		}
		// The first apply of each is a create.
		if _, err := drive(ctx, fillers, pieces(apps), func(ctx context.Context, i int) error {
			_, err := apply(ctx, i)
			return err
		}); err != nil {
			return nil, err
		}
		_, text := applied(0, 1000)
		return b.verb(ctx, verb{name: "apply", api: api, limit: limit, sent: len(text),
			do: func(ctx context.Context, i int) (int64, error) { return apply(ctx, apps+i) }})
	})
}
