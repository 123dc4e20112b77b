{{/* The pods of NATS's chart. */}}
{{- define "greenrun.natsPods" -}}
app.kubernetes.io/name: nats
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: nats
{{- end -}}

{{/* Names are looked up in the cluster's own DNS alone. */}}
{{- define "greenrun.egressDns" -}}
- ports:
    - port: {{ .Values.networkPolicy.dns.port }}
      protocol: UDP
    - port: {{ .Values.networkPolicy.dns.port }}
      protocol: TCP
  to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .Values.networkPolicy.dns.namespace }}
{{- end -}}

{{/* (root, to, env) → the egress rule for one destination; nothing where the service does not go there. */}}
{{- define "greenrun.egress" -}}
{{- $inside := "" -}}
{{- if and (eq .to "nats") .root.Values.nats.enabled -}}
{{- $inside = include "greenrun.natsPods" .root -}}
{{- else if and (eq .to "chroma") .root.Values.chroma.enabled -}}
{{- $inside = include "greenrun.selector" (dict "root" .root "name" "chroma") -}}
{{- end -}}
{{- $embedder := dig "EMBEDDER" (dig "EMBEDDER" "" .root.Values.settings) .env -}}
{{- $place := index .root.Values.networkPolicy.destinations (ternary "model" .to (eq .to "embedder")) -}}
{{- if $inside -}}
- ports:
    - port: {{ ternary 4222 8000 (eq .to "nats") }}
  to:
    - podSelector:
        matchLabels:
          {{- $inside | nindent 10 }}
{{- else if or (ne .to "embedder") (hasPrefix "ollama:" $embedder) -}}
- ports:
    {{- range $place.ports }}
    - port: {{ . }}
    {{- end }}
  to:
    {{- with $place.to }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [169.254.0.0/16]
    - ipBlock:
        cidr: ::/0
        except: [fe80::/10]
    {{- end }}
{{- end -}}
{{- end -}}
