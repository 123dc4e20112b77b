{{/* What things are called, and what they are labelled with. */}}

{{- define "greenrun.fullname" -}}
{{- if contains "greenrun" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-greenrun" (.Release.Name | trunc 31 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* (root, name) → the name of all that belongs to one service. */}}
{{- define "greenrun.of" -}}
{{ include "greenrun.fullname" .root }}-{{ .name }}
{{- end -}}

{{/* (root, name) → what selects the pods of one service; never changes, since a Deployment's selector cannot. */}}
{{- define "greenrun.selector" -}}
app.kubernetes.io/name: greenrun
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{/* (root, name) → all labels. */}}
{{- define "greenrun.labels" -}}
{{ include "greenrun.selector" . }}
app.kubernetes.io/part-of: greenrun
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* (root, name) → the image of one service. */}}
{{- define "greenrun.image" -}}
{{ .root.Values.image.repository }}/{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* (root, name, row) → the name of the Secret of one service. */}}
{{- define "greenrun.secret" -}}
{{ .row.existingSecret | default (include "greenrun.of" .) }}
{{- end -}}

{{/* The name that NATS's chart gives its Service. */}}
{{- define "greenrun.nats" -}}
{{- if .Values.nats.fullnameOverride -}}
{{- .Values.nats.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains "nats" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-nats" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Where NATS is; refuses what contradicts itself. */}}
{{- define "greenrun.natsUrl" -}}
{{- $url := .Values.nats.external.url -}}
{{- if and .Values.nats.enabled $url -}}
{{- fail "nats.external.url is set: set nats.enabled=false too, or take the url away" -}}
{{- else if .Values.nats.enabled -}}
nats://{{ include "greenrun.nats" . }}:4222
{{- else -}}
{{- required "nats.enabled is false: nats.external.url must say where NATS is, such as nats://nats.example:4222" $url -}}
{{- end -}}
{{- end -}}

{{/* Where NATS tells KEDA of its consumers, as host:port. */}}
{{- define "greenrun.natsMonitoring" -}}
{{- if .Values.nats.enabled -}}
{{ include "greenrun.nats" . }}-headless.{{ .Release.Namespace }}.svc:8222
{{- else -}}
{{- required "keda.enabled with an external NATS: nats.external.monitoring must be its monitoring's host:port" .Values.nats.external.monitoring -}}
{{- end -}}
{{- end -}}

{{/* Where Chroma is: its host, then its port. */}}
{{- define "greenrun.chromaHost" -}}
{{- if .Values.chroma.enabled -}}
{{ include "greenrun.of" (dict "root" . "name" "chroma") }}
{{- else -}}
{{- required "chroma.enabled is false: chroma.external.host must say where Chroma is" .Values.chroma.external.host -}}
{{- end -}}
{{- end -}}
{{- define "greenrun.chromaPort" -}}
{{ ternary 8000 (int .Values.chroma.external.port) .Values.chroma.enabled }}
{{- end -}}

{{/* What the code says of one service: settings, secrets, consumers (files/facts.yaml, written from the code). */}}
{{- define "greenrun.facts" -}}
{{ index (.root.Files.Get "files/facts.yaml" | fromYaml) "services" .name | toYaml }}
{{- end -}}

{{/* (root, name) → the row of one service over the defaults. */}}
{{- define "greenrun.row" -}}
{{- $own := ternary .root.Values.provisioner (index .root.Values.services .name) (eq .name "provisioner") -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy ($own | default dict)) | toYaml -}}
{{- end -}}

{{/* Replicas that there are at least: what an autoscaler keeps, or the number that was set. */}}
{{- define "greenrun.floor" -}}
{{- if and .root.Values.keda.enabled .row.keda -}}{{ .row.keda.minReplicas }}{{- else -}}{{ .row.replicas }}{{- end -}}
{{- end -}}
