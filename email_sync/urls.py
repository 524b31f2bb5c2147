from django.urls import path

from email_sync import views

app_name = "email_sync"

urlpatterns = [
    path("customers/<int:pk>/", views.customer_emails, name="customer-emails"),
    path("contacts/<int:pk>/", views.contact_emails, name="contact-emails"),
    path("progress/", views.progress, name="progress"),
    path("<int:pk>/", views.email_detail, name="email-detail"),
    path("<int:pk>/body/", views.email_body, name="email-body"),
    path("<int:pk>/delete/", views.delete_email, name="email-delete"),
    path("<int:pk>/restore/", views.restore_email, name="email-restore"),
]
