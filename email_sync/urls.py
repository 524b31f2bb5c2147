from django.urls import path

from email_sync import exclusion_views, views

app_name = "email_sync"

urlpatterns = [
    path("customers/<int:pk>/", views.customer_emails, name="customer-emails"),
    path("contacts/<int:pk>/", views.contact_emails, name="contact-emails"),
    path("progress/", views.progress, name="progress"),
    path("coverage/<int:pk>/", views.coverage, name="coverage"),
    path("exclusions/", exclusion_views.exclusions, name="exclusions"),
    path("exclusions/mine/", exclusion_views.my_exclusions, name="my-exclusions"),
    path("exclusions/<int:pk>/remove/", exclusion_views.remove_exclusion, name="exclusion-remove"),
    path("<int:pk>/", views.email_detail, name="email-detail"),
    path("<int:pk>/body/", views.email_body, name="email-body"),
    path("<int:pk>/delete/", views.delete_email, name="email-delete"),
    path("<int:pk>/restore/", views.restore_email, name="email-restore"),
]
